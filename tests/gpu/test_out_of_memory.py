"""A device whose memory somebody else has taken: a documented error at load and at the first step, and a retry that works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.gpu.built import Built
from tests.support.documented import check_documented
from tests.support.scenes import scene
from videoscene_rt import BackendError
from videoscene_rt.engines.cuda.device import CudaDevice

pytestmark = pytest.mark.gpu

_LEAST = 1 << 20


@contextmanager
def taken(cuda: CudaDevice, leave: int) -> Iterator[None]:
    """Take the device's memory in ever smaller pieces, but for about so many bytes."""
    held: list[Any] = []
    piece = 1 << 34
    while piece >= _LEAST:
        free = cuda.free_bytes()
        if free is not None and free - piece < leave:
            piece //= 2
            continue
        try:
            held.append(cuda.block(piece))
        except BackendError:
            piece //= 2
    cuda.synchronize()
    try:
        yield
    finally:
        held.clear()
        cuda.synchronize()


def frames(pipeline: Any) -> np.ndarray:
    return np.array(pipeline.step(scene(), seed=0).copy().frames)


@pytest.mark.parametrize("leave_mib", [0, 1, 4, 16])
def test_at_load(cuda: CudaDevice, built: Built, leave_mib: int) -> None:
    """It is refused in one line, or there was enough after all; either way the device is as good as before."""
    with built.load() as pipeline:
        expected = frames(pipeline)
    with taken(cuda, leave_mib << 20):
        try:
            built.load().close()
        except BackendError as error:
            check_documented(error)
        else:
            assert leave_mib, "a pipeline was loaded into no memory"
    with built.load() as pipeline:
        assert np.array_equal(frames(pipeline), expected)


def test_at_the_first_step(cuda: CudaDevice, built: Built) -> None:
    """Everything is allocated at load, so a first step without memory gives the same bits; a backend that allocates late is refused."""
    with built.load() as pipeline:
        expected = frames(pipeline)
    with built.load() as pipeline:
        with taken(cuda, 0):
            try:
                handle = pipeline.submit(scene(), seed=0)
                handle.result()
            except BackendError as error:
                check_documented(error)
                handle = None
        assert handle is not None or not pipeline.captured, "a captured step has nothing left to allocate"
        if handle is not None:
            assert np.array_equal(handle.result().copy().frames, expected)
            handle.release()
        assert np.array_equal(frames(pipeline), expected)
