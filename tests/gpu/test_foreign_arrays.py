"""torch's and CuPy's arrays on the GPU, in and out, ordered with the streams they are used on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.gpu.built import Built
from tests.support.scenes import scene
from videoscene_rt import InputError, Pipeline

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def torch(cuda: Any) -> Any:
    found = pytest.importorskip("torch", reason="torch is not installed (TensorRT and torch do not share a process)")
    if not found.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    return found


@pytest.fixture(scope="module")
def cupy(cuda: Any) -> Any:
    return pytest.importorskip("cupy", reason="CuPy is not installed")


@pytest.fixture(scope="module")
def pipeline(built: Built) -> Iterator[Pipeline]:
    with built.load() as pipeline:
        yield pipeline


def tensors(pipeline: Pipeline, seed: int) -> dict[str, np.ndarray]:
    from videoscene_rt.chain.scene_inputs import scene_inputs

    return scene_inputs(scene(seed=seed, points=1800), pipeline.preset)


def test_torch_tensors_are_taken_in_the_order_of_their_stream(torch: Any, pipeline: Pipeline) -> None:
    inputs = tensors(pipeline, 1)
    expected = pipeline.step(inputs).copy().frames
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        given = {name: torch.from_numpy(array).cuda(non_blocking=True) for name, array in inputs.items()}
        staged = torch.zeros_like(given["xyz"])
        for _ in range(20):
            torch.cuda._sleep(2_000_000)  # the tensor is written late on this stream
            staged.copy_(given["xyz"], non_blocking=True)
            handle = pipeline.submit({**given, "xyz": staged}, stream=stream)
            staged.zero_()  # and again right after: the copy must come in between
            with handle:
                assert np.array_equal(handle.result().copy().frames, expected)


def test_a_tensor_that_is_made_late_is_waited_for_without_a_stream(torch: Any, pipeline: Pipeline) -> None:
    """DLPack orders the copy after what torch's current stream holds."""
    inputs = tensors(pipeline, 2)
    expected = pipeline.step(inputs).copy().frames
    cloud = {name: torch.from_numpy(inputs[name]).cuda() for name in ("xyz", "rgb")}
    for _ in range(10):
        late = torch.zeros_like(cloud["xyz"])
        torch.cuda._sleep(5_000_000)
        late.copy_(cloud["xyz"], non_blocking=True)
        assert np.array_equal(pipeline.step({"xyz": late, "rgb": cloud["rgb"]}).copy().frames, expected)


def test_torch_reads_the_frames_in_place(torch: Any, pipeline: Pipeline) -> None:
    result = pipeline.step(tensors(pipeline, 3))
    expected = result.copy().frames
    frames = torch.from_dlpack(result.frames)
    assert frames.data_ptr() == result.frames.pointer
    assert np.array_equal(frames.cpu().numpy(), expected)
    assert np.array_equal(torch.as_tensor(result.frames, device="cuda").cpu().numpy(), expected)


def test_the_next_steps_wait_for_torch_to_have_read(torch: Any, pipeline: Pipeline) -> None:
    expected = pipeline.step(tensors(pipeline, 4)).copy().frames
    stream = torch.cuda.Stream()
    for turn in range(10):
        with pipeline.submit(tensors(pipeline, 4)) as handle, torch.cuda.stream(stream):
            frames = torch.from_dlpack(handle.result().frames)
            torch.cuda._sleep(20_000_000)  # reads long after the handle is released
            seen = frames.clone()
        for other in range(3):
            pipeline.submit(tensors(pipeline, 5 + other)).release()
        assert np.array_equal(seen.cpu().numpy(), expected), turn


def test_torch_memory_is_bound(torch: Any, built: Built) -> None:
    with built.load(slots=1) as pipeline:
        inputs = tensors(pipeline, 6)
        expected = pipeline.step(inputs).copy().frames
        cloud = torch.zeros((pipeline.preset.max_points, 3), device="cuda")
        cloud[: len(inputs["xyz"])] = torch.from_numpy(inputs["xyz"]).cuda()
        frames = torch.zeros(expected.shape, dtype=torch.uint8, device="cuda")
        torch.cuda.synchronize()
        pipeline.bind("xyz", cloud)
        pipeline.bind("frames", frames)
        pipeline.step({"num_points": int(inputs["num_points"][0])})
        assert np.array_equal(frames.cpu().numpy(), expected)
        with pytest.raises(InputError, match="not contiguous"):
            pipeline.bind("xyz", torch.zeros((3, pipeline.preset.max_points), device="cuda").t())
        with pytest.raises(InputError, match="float64"):
            pipeline.bind("xyz", cloud.double())


def test_cupy_arrays_go_in_and_come_out(cupy: Any, pipeline: Pipeline) -> None:
    inputs = tensors(pipeline, 7)
    expected = pipeline.step(inputs).copy().frames
    result = pipeline.step({name: cupy.asarray(array) for name, array in inputs.items()})
    for taken in (cupy.from_dlpack(result.frames), cupy.asarray(result.frames)):
        assert taken.data.ptr == result.frames.pointer
        assert np.array_equal(cupy.asnumpy(taken), expected)
