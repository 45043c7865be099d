"""Plans built and run on a GPU through the adapter: right results, contexts that overlap, and damage that is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from videoscene_rt import BackendError
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.cuda.memory import CudaMemory
from videoscene_rt.engines.tensorrt.engine import TensorRtBackend, TensorRtContext, TensorRtEngine
from videoscene_rt.engines.tensorrt.plan import deserialize
from videoscene_rt.engines.tensorrt.request import BuilderError, PlanRequest
from videoscene_rt.engines.tensorrt.supervisor import build_plan

pytestmark = pytest.mark.gpu

LIMIT = 2e-4
"""Relative L2 of FP32 engines against ONNX Runtime in FP32: another order of sums, no TF32."""
Plans = dict[str, Path]


@pytest.fixture(scope="module")
def plans(package: str, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Plans:
    folder = tmp_path_factory.mktemp(package)
    built: Plans = {}
    for graph in ("decode_stream", "encode_images"):
        path = folder / f"{graph}.plan"
        cache = folder / "timings"
        build_plan(PlanRequest(bundle.graph_path(graph), path, package, "fp32", level=1, timing_cache=cache))  # type: ignore[arg-type]
        built[graph] = path
    return built


@pytest.fixture(scope="module")
def backend(package: str, plans: Plans, cuda: CudaDevice) -> TensorRtBackend:
    return TensorRtBackend(package, plans, cuda)  # type: ignore[arg-type]


def bound(backend: TensorRtBackend, engine: TensorRtEngine) -> tuple[TensorRtContext, dict[str, CudaMemory]]:
    context = engine.context()
    memory = {t.name: backend.allocate(t.dtype, t.shape) for t in (*engine.spec.inputs, *engine.spec.outputs)}
    for name, place in memory.items():
        context.bind(name, place.view())
    return context, memory


def fill(engine: TensorRtEngine, memory: dict[str, CudaMemory], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    inputs = {}
    for tensor in engine.spec.inputs:
        random = rng.standard_normal(tensor.shape) if tensor.dtype == "float32" else rng.integers(0, 256, tensor.shape)
        inputs[tensor.name] = random.astype(tensor.dtype)
        memory[tensor.name].write(inputs[tensor.name])
    return inputs


@pytest.mark.parametrize("graph", ["decode_stream", "encode_images"])
def test_it_computes_what_onnx_runtime_computes(graph: str, backend: TensorRtBackend, bundle: Bundle) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="no ONNX Runtime to compare with")
    engine = backend.load(bundle, graph)
    context, memory = bound(backend, engine)
    inputs = fill(engine, memory, 0)
    context.enqueue()
    backend.synchronize()
    session = onnxruntime.InferenceSession(str(bundle.graph_path(graph)), providers=["CPUExecutionProvider"])
    for name, expected in zip((t.name for t in engine.spec.outputs), session.run(None, inputs), strict=True):
        found = memory[name].read()
        if found.dtype == np.uint8:  # a rounded tie may go either way
            assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
        else:
            assert np.linalg.norm(found - expected) <= LIMIT * np.linalg.norm(expected)


def test_contexts_that_overlap_in_time_do_not_disturb_each_other(
    backend: TensorRtBackend, bundle: Bundle, cuda: CudaDevice
) -> None:
    engine = backend.load(bundle, "decode_stream")
    other = CudaDevice()
    (one, mine), (two, theirs) = bound(backend, engine), bound(backend, engine)
    fill(engine, mine, 1), fill(engine, theirs, 2)
    one.enqueue(), two.enqueue()
    backend.synchronize()
    alone = [memory["frames"].read() for memory in (mine, theirs)]
    assert not np.array_equal(*alone)
    for _ in range(20):
        one.enqueue()
        two.enqueue(other.stream_handle)
    backend.synchronize()
    other.synchronize()
    assert np.array_equal(mine["frames"].read(), alone[0])
    assert np.array_equal(theirs["frames"].read(), alone[1])
    assert engine.scratch_bytes >= 0


def test_what_cannot_be_bound(backend: TensorRtBackend, bundle: Bundle) -> None:
    engine = backend.load(bundle, "decode_stream")
    context = engine.context()
    with pytest.raises(BackendError, match="not bound: latent"):
        context.enqueue()
    with pytest.raises(BackendError, match="no input or output 'reward'"):
        context.bind("reward", backend.allocate("float32", (1,)).view())
    latent = engine.spec.input("latent")
    with pytest.raises(BackendError, match="wants latent"):
        context.bind("latent", backend.allocate("float16", latent.shape).view())
    shifted = backend.allocate("float32", (2, *latent.shape[1:])).view()
    with pytest.raises(BackendError, match="multiple of 256"):
        context.bind("latent", type(shifted)(shifted.pointer + 4, "float32", latent.shape, "cuda", shifted.owner))


def test_plans_swapped_missing_and_damaged(
    backend: TensorRtBackend, plans: Plans, bundle: Bundle, package: str, cuda: CudaDevice
) -> None:
    swapped = TensorRtBackend(package, {"decode_stream": plans["encode_images"]}, cuda)  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="graph decode_stream: its plan is not the manifest's graph"):
        swapped.load(bundle, "decode_stream")
    with pytest.raises(BackendError, match="no plan of graph encode_images"):
        swapped.load(bundle, "encode_images")
    data = plans["encode_images"].read_bytes()
    print(f"{package}: a plan begins with {data[:64].hex(' ')} and has {len(data):#x} bytes")
    for damaged in (b"", data[:100], data[: len(data) // 2], data[:-1], b"\0" * 4096, b"#!/bin/sh\n" * 100):
        with pytest.raises(BackendError, match="graph encode_images: ") as error:
            deserialize(package, damaged, "encode_images")  # type: ignore[arg-type]
        assert error.value.exit_code == 3
    assert backend.load(bundle, "encode_images").spec.name == "encode_images", "the process lives and works"


def test_a_scatter_with_a_reduction_is_refused_where_it_would_be_ignored(
    package: str, bundle: Bundle, tmp_path: Path
) -> None:
    from videoscene_rt.engines.tensorrt.capabilities import open_package

    if open_package(package)[1].scatter_reduction != "none":  # type: ignore[arg-type]
        pytest.skip(f"this {package} has a plugin for it")
    request = PlanRequest(bundle.graph_path("renderer"), tmp_path / "plan", package, "fp32", level=0)  # type: ignore[arg-type]
    with pytest.raises(BuilderError, match="renderer.onnx"):
        build_plan(request)
    assert list(tmp_path.iterdir()) == []
