"""``python -m tests.gpu.destroyed_reader FOLDER BACKEND PRECISION HOW``: steps whose readers' streams are destroyed before the next ones.

A process of its own, since what it tries would end one: it prints "whole" where every bit is right.
"""

from __future__ import annotations

import faulthandler
import gc
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.gpu.built import Built
from tests.support.scenes import scene
from videoscene_rt import Pipeline
from videoscene_rt.engines.cuda.device import CudaDevice

TURNS = 40


def main(folder: str, backend: str, precision: str, how: str) -> None:
    """``how``: "nobody says" gives the number alone; the others mark what was read, and what was read must be right."""
    cuda = CudaDevice()
    with Built(Path(folder), backend, precision).load() as pipeline:
        given = [scene(seed=number, points=1500 + 400 * number) for number in range(2)]
        wanted = [pipeline.step(each).copy().frames for each in given]
        mine = cuda.allocate("uint8", wanted[0].shape)
        for turn in range(TURNS):
            read(cuda, pipeline, given[turn % 2], mine.pointer, how)
            gc.collect()
            others = [cuda.new_stream() for _ in range(turn % 3)]  # so that what is free is taken
            for each in (given[1 - turn % 2], given[turn % 2]):  # both slots
                pipeline.submit(each).release()
            pipeline.chain.lanes[0].synchronize()
            if how != "nobody says":
                cuda.call("cuCtxSynchronize")
                assert np.array_equal(mine.read(), wanted[turn % 2]), turn
            assert np.array_equal(pipeline.step(given[0]).copy().frames, wanted[0]), turn
            del others
    print("whole")


def read(cuda: CudaDevice, pipeline: Pipeline, given: Any, to: int, how: str) -> None:
    """Let a stream copy a step's frames to an address, and destroy it at once."""
    from cuda.core.utils import StridedMemoryView

    reader = cuda.new_stream()
    handle = pipeline.submit(given)
    result = handle.result()
    view = StridedMemoryView.from_dlpack(result.frames, stream_ptr=reader.handle)
    cuda.copy(to, int(view.ptr), result.frames.nbytes, reader)
    if how == "read_by":
        result.read_by(reader.raw)
    handle.release(after=reader.raw if how == "release" else None)
    reader.raw.close()


if __name__ == "__main__":
    faulthandler.enable()
    main(*sys.argv[1:])
