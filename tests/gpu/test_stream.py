"""Streams on a GPU: a graph a chunk beside the step's, the same bits every time, frames that others take while the rest is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.gpu.built import Built
from tests.support.scenes import scene
from videoscene_rt import Pipeline
from videoscene_rt.engines.cuda.device import CudaDevice

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def load(built: Built) -> Callable[..., Pipeline]:
    return built.load


@pytest.fixture(scope="module")
def pipeline(load: Callable[..., Pipeline]) -> Iterator[Pipeline]:
    with load() as pipeline:
        yield pipeline


def given(number: int) -> Any:
    return scene(seed=number, points=1500 + 400 * number)


def streamed(pipeline: Pipeline, number: int) -> np.ndarray:
    with pipeline.stream(given(number)) as stream:
        return np.concatenate([frames.copy() for frames in stream])


@pytest.fixture(scope="module")
def expected(load: Callable[..., Pipeline]) -> list[np.ndarray]:
    """Three streams, stage by stage in one slot."""
    with load(capture=False, slots=1) as pipeline:
        return [streamed(pipeline, number) for number in range(3)]


def test_every_part_is_captured(pipeline: Pipeline, built: Built) -> None:
    programs = [program for slot in pipeline.chain.slots for program in slot.programs]
    assert all(program.captured for program in programs) is (built.backend == "tensorrt")


def test_a_stream_is_the_step(pipeline: Pipeline, expected: list[np.ndarray]) -> None:
    """Bit for bit where the decoder's chunks are the step's own graphs, else close to it."""
    for number in range(3):
        whole = pipeline.step(given(number)).copy().frames
        found = streamed(pipeline, number)
        assert np.array_equal(found, expected[number])
        if pipeline.decoders[0] == "full":
            assert np.array_equal(found, whole)
        else:
            error = np.square(found.astype(float) - whole.astype(float)).mean()
            assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 40


def test_two_streams_and_a_step_in_flight(pipeline: Pipeline, expected: list[np.ndarray]) -> None:
    for _ in range(10):
        with pipeline.stream(given(0)) as one, pipeline.stream(given(1)) as two:
            first = next(one).copy()
            later = np.concatenate([frames.copy() for frames in two])
            rest = [frames.copy() for frames in one]
        assert np.array_equal(np.concatenate([first, *rest]), expected[0])
        assert np.array_equal(later, expected[1])
        pipeline.step(given(2))


def test_a_stream_that_is_left_leaves_nothing_behind(pipeline: Pipeline, expected: list[np.ndarray]) -> None:
    for number in range(12):
        for frames in pipeline.stream(given(number % 3), timeout=10):
            assert np.array_equal(frames.copy(), expected[number % 3][: frames.stop])
            break
        assert np.array_equal(streamed(pipeline, (number + 1) % 3), expected[(number + 1) % 3])


def test_others_take_a_chunk_without_a_copy(pipeline: Pipeline, cuda: CudaDevice, expected: list[np.ndarray]) -> None:
    from cuda.core.utils import StridedMemoryView

    mine, reader = cuda.allocate("uint8", expected[0].shape), cuda.new_stream()
    row = expected[0][:1].nbytes
    with pipeline.stream(given(0)) as stream:
        for frames in stream:
            view = StridedMemoryView.from_dlpack(frames.array, stream_ptr=reader.handle)
            assert tuple(view.shape) == (len(frames), *expected[0].shape[1:])
            cuda.copy(mine.pointer + frames.first * row, int(view.ptr), len(frames) * row, reader)
        stream.close(after=reader.raw)
    for number in (1, 2):  # every slot
        pipeline.submit(given(number)).release()  # the slot's next step waits for the reader
    reader.synchronize()
    assert np.array_equal(mine.read(), expected[0])


def test_nothing_is_allocated_in_a_stream(pipeline: Pipeline, cuda: CudaDevice) -> None:
    for number in range(4):
        streamed(pipeline, number % 3)
    before = cuda.free_bytes()
    for number in range(60):
        streamed(pipeline, number % 3)
    assert cuda.free_bytes() == before


def test_the_first_frames_come_before_the_last(pipeline: Pipeline, built: Built) -> None:
    for _ in range(3):
        with pipeline.stream(given(0)) as stream:
            times = [frames.ready_ms for frames in stream]
            step = stream.result().step
        assert times == sorted(times)
        assert step.first_frames_ms == times[0]
        device = step.timings_ms
        assert 0 < device["before_decoder"] < device["first_frames"] < device["chain"]
