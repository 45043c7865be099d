"""The chain on a GPU: the reference's coarse frames, equal bits however it runs, nothing allocated, nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.gpu.built import Built
from tests.support.scenes import scene
from videoscene_rt import InputError, Pipeline
from videoscene_rt.engines.cuda.device import CudaDevice

pytestmark = pytest.mark.gpu

NAMES = ("frames", "coarse", "depth", "hole_mask")
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def load(built: Built) -> Callable[..., Pipeline]:
    return built.load


@pytest.fixture(scope="module")
def pipeline(load: Callable[..., Pipeline]) -> Iterator[Pipeline]:
    with load() as pipeline:
        yield pipeline


@pytest.fixture(scope="module")
def expected(load: Callable[..., Pipeline]) -> list[Arrays]:
    """Three different scenes, run stage by stage in one slot."""
    with load(capture=False, slots=1) as pipeline:
        return [arrays(pipeline.step(given(n))) for n in range(3)]


def given(number: int) -> Any:
    return scene(seed=number, points=1500 + 400 * number)


def arrays(result: Any) -> Arrays:
    kept = result.copy()
    return {name: getattr(kept, name) for name in NAMES}


def same(found: Arrays, wanted: Arrays) -> bool:
    return all(np.array_equal(found[name], wanted[name]) for name in NAMES)


def test_it_is_captured(pipeline: Pipeline, built: Built) -> None:
    if built.backend == "tensorrt":
        assert pipeline.captured
        assert pipeline.notes == ()
    else:
        assert not pipeline.captured
        (note,) = pipeline.notes
        assert note.startswith("the chain runs stage by stage: the work cannot be captured into a CUDA graph")


def test_it_is_the_reference(pipeline: Pipeline, built: Built) -> None:
    with Pipeline.load(built.folder) as reference:
        for number in range(3):
            found, wanted = arrays(pipeline.step(given(number))), arrays(reference.step(given(number)))
            for name in ("coarse", "depth", "hole_mask"):
                assert np.array_equal(found[name], wanted[name]), name
            error = np.square(found["frames"].astype(float) - wanted["frames"].astype(float)).mean()
            assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 40


def test_equal_input_gives_equal_bits(pipeline: Pipeline, expected: list[Arrays]) -> None:
    for turn in range(60):
        assert same(arrays(pipeline.step(given(turn % 3))), expected[turn % 3]), turn


def test_a_graph_for_device_launches_gives_the_same_bits(
    load: Callable[..., Pipeline], expected: list[Arrays], built: Built
) -> None:
    with load(capture="device-launch") as pipeline:
        assert pipeline.chain.graph_form == ("device-launch" if built.backend == "tensorrt" else None), pipeline.notes
        for turn in range(60):
            assert same(arrays(pipeline.step(given(turn % 3))), expected[turn % 3]), turn


@pytest.mark.parametrize("memory", ["mapped", "copied"])
@pytest.mark.parametrize("capture", [True, "device-launch", False])
def test_the_bits_are_the_same_in_mapped_memory(
    load: Callable[..., Pipeline], expected: list[Arrays], memory: str, capture: bool | str
) -> None:
    with load(memory=memory, capture=capture) as pipeline:
        for turn in range(6):
            assert same(arrays(pipeline.step(given(turn % 3))), expected[turn % 3]), turn
        if memory == "mapped":
            assert pipeline.chain.bytes_uploaded == 0
            assert pipeline.memory.size("mapped") > pipeline.memory.by_role()["result"]


def test_two_steps_in_flight(pipeline: Pipeline, expected: list[Arrays]) -> None:
    waiting: list[Any] = []
    for turn in range(12):
        if len(waiting) == 2:
            number, handle = waiting.pop(0)
            with handle:
                assert same(arrays(handle.result()), expected[number])
        waiting.append((turn % 3, pipeline.submit(given(turn % 3))))
    for number, handle in waiting:
        with handle:
            assert same(arrays(handle.result(timeout=10)), expected[number])


def test_nothing_is_allocated_in_a_step(pipeline: Pipeline, cuda: CudaDevice) -> None:
    for turn in range(4):
        pipeline.step(given(turn % 3)).host()
    before = cuda.free_bytes()
    for turn in range(100):
        pipeline.step(given(turn % 3)).host()
    assert cuda.free_bytes() == before


def test_the_noise_is_drawn_again_and_comes_back(pipeline: Pipeline, expected: list[Arrays]) -> None:
    assert not np.array_equal(arrays(pipeline.step(given(0), seed=5))["frames"], expected[0]["frames"])
    assert same(arrays(pipeline.step(given(0), seed=0)), expected[0])


def test_a_result_that_is_not_finite_is_called_invalid(load: Callable[..., Pipeline]) -> None:
    with load() as pipeline:
        noise = pipeline.tensor("noise")
        noise.flat[7] = np.inf
        pipeline.chain.write("noise", noise)
        assert pipeline.step(given(0)).status == "invalid"
        assert pipeline.step(given(0), seed=0).status == "ok"


def test_device_memory_is_bound_and_read_in_place(
    load: Callable[..., Pipeline], cuda: CudaDevice, expected: list[Arrays]
) -> None:
    from videoscene_rt.engines.cuda.array import DeviceArray

    with load() as pipeline:
        preset, mine = pipeline.preset, given(1)
        memory = cuda.allocate("float32", (preset.max_points, 3))
        memory.write(mine.xyz)
        cuda.synchronize()
        stream = cuda.new_stream()
        array = DeviceArray(cuda, memory.view(), stream.record(), stream, lambda *reader: None)
        pipeline.step(given(1))
        pipeline.bind("xyz", array)
        rest = {"num_points": mine.num_points}
        assert same(arrays(pipeline.step(rest)), expected[1])
        memory.write(given(2).xyz)
        cuda.synchronize()
        assert not np.array_equal(arrays(pipeline.step(rest))["coarse"], expected[1]["coarse"])
        with pytest.raises(InputError, match="lies on the host"):
            pipeline.bind("rgb", np.zeros((preset.max_points, 3), np.uint8))


def test_results_are_offered_without_a_copy(pipeline: Pipeline) -> None:
    from cuda.core.utils import StridedMemoryView

    result = pipeline.step(given(0))
    view = pipeline.chain.view("frames", pipeline._in_use.stepper.newest)
    for taken in (
        StridedMemoryView.from_dlpack(result.frames, stream_ptr=pipeline.chain.lanes[0].handle),
        StridedMemoryView.from_cuda_array_interface(result.frames, stream_ptr=pipeline.chain.lanes[0].handle),
    ):
        assert int(taken.ptr) == view.pointer
        assert tuple(taken.shape) == result.frames.shape
        assert np.dtype(taken.dtype) == np.uint8
    with pytest.raises(TypeError, match=r"result\.host\(\)"):
        np.asarray(result.frames)


def test_pipelines_beside_each_other(load: Callable[..., Pipeline], expected: list[Arrays]) -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        try:
            with load() as pipeline:
                wrong.extend(n for n in range(20) if not same(arrays(pipeline.step(given(number))), expected[number]))
        except Exception as error:  # in a thread it would be lost
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_timeline_keeps_to_the_schedule(pipeline: Pipeline) -> None:
    pipeline.step(given(0))
    times = {time.stage: time for time in pipeline.timeline(5)}
    for placed in pipeline.schedule.placed:
        assert times[placed.stage].end_ms > times[placed.stage].start_ms
        for wait in placed.waits:
            assert times[placed.stage].start_ms >= times[wait].end_ms - 0.01


def test_a_priority_that_there_is_not_is_refused(load: Callable[..., Pipeline], cuda: CudaDevice) -> None:
    _, highest = cuda.priorities
    with load(priority=highest) as pipeline:
        assert pipeline.step(given(0)).status == "ok"
    with pytest.raises(InputError, match=f"priority 99 is not from {highest} to 0"):
        load(priority=99)


def test_too_little_memory_is_answered_with_what_needs_how_much(
    load: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    from videoscene_rt import BackendError

    whole = CudaDevice.block

    def block(self: CudaDevice, nbytes: int, place: Any = "device") -> Any:
        return whole(self, 1 << 50 if place == "device" else nbytes, place)

    monkeypatch.setattr(CudaDevice, "block", block)
    with pytest.raises(
        BackendError, match=r"MiB on .*: input .* MiB, .*scratch .* MiB; the largest is .* MiB are free"
    ):
        load()
