"""ONNX Runtime's CUDA provider on a GPU: the reference's results, the order of streams, no way to the CPU, and the host's route."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.built import build, outcomes, recording
from videoscene_rt import BackendError
from videoscene_rt.bench.inputs import seeded_inputs
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.building import onnx_files
from videoscene_rt.engines.building.trial import caller
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.cuda.memory import CudaMemory
from videoscene_rt.engines.cuda.streams import CudaStream
from videoscene_rt.engines.engine import Context
from videoscene_rt.engines.hosted import HostedEngine
from videoscene_rt.engines.onnxruntime_cuda import OnnxRuntimeCudaBackend
from videoscene_rt.engines.onnxruntime_cuda_session import MissingKernelsError

pytestmark = pytest.mark.gpu

LIMIT = 2e-4
"""Relative L2 of FP32 against the CPU's: another order of sums, no TF32."""
_BUSY_BYTES = 1 << 28
_BUSY_COPIES = 400


@pytest.fixture(scope="module")
def backend(cuda: CudaDevice) -> OnnxRuntimeCudaBackend:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    try:
        return OnnxRuntimeCudaBackend(lambda bundle, graph: bundle.graph_path(graph), cuda)
    except BackendError as error:
        pytest.skip(error.problem)


class Busy:
    """A stream that something long is put on."""

    def __init__(self, cuda: CudaDevice) -> None:
        self._cuda = cuda
        self._blocks = [cuda.block(_BUSY_BYTES) for _ in range(2)]

    def keep(self, stream: CudaStream) -> None:
        for _ in range(_BUSY_COPIES):
            self._cuda.copy(self._blocks[0].pointer, self._blocks[1].pointer, _BUSY_BYTES, stream)


def bound(backend: OnnxRuntimeCudaBackend, bundle: Bundle, graph: str) -> tuple[Context, dict[str, CudaMemory]]:
    engine = backend.load(bundle, graph)
    context = engine.context()
    memory = {}
    for tensor in (*engine.spec.inputs, *engine.spec.outputs):
        assert backend.cuda is not None
        memory[tensor.name] = backend.cuda.allocate(tensor.dtype, tensor.shape)
        context.bind(tensor.name, memory[tensor.name].view())
    return context, memory


def assert_near(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], limit: float) -> None:
    for name, array in expected.items():
        if array.dtype == np.uint8:  # a rounded tie may go either way
            assert np.abs(found[name].astype(int) - array.astype(int)).max() <= 1, name
        elif array.dtype == np.int32:
            assert np.array_equal(found[name], array), name
        else:
            assert np.linalg.norm(found[name] - array) <= limit * np.linalg.norm(array), name


def test_every_graph_computes_what_the_reference_computes(backend: OnnxRuntimeCudaBackend, bundle: Bundle) -> None:
    reference = open_backend()
    for graph in bundle.manifest.graphs:
        inputs = seeded_inputs(bundle.manifest, graph, 0)
        try:
            engine = backend.load(bundle, graph)
        except MissingKernelsError:
            if graph != "renderer":  # which a kernel of ours runs
                raise
            continue
        found = caller(backend, engine)(inputs)
        assert_near(found, caller(reference, reference.load(bundle, graph))(inputs), LIMIT)


def test_it_runs_again_and_again_on_its_own_stream(
    backend: OnnxRuntimeCudaBackend, bundle: Bundle, cuda: CudaDevice
) -> None:
    """ONNX Runtime ends the process if its runs do not wait: its staging memory is then given back where CUDA forbids it."""
    context, memory = bound(backend, bundle, "policy")
    memory["z_r"].write(seeded_inputs(bundle.manifest, "policy", 0)["z_r"])
    context.enqueue()
    alone = memory["logits"].read()
    for _ in range(200):
        memory["logits"].write(np.full_like(alone, np.nan))
        context.enqueue()
        assert np.array_equal(memory["logits"].read(), alone)


def test_on_another_stream_it_runs_after_what_that_one_has_and_before_what_comes(
    backend: OnnxRuntimeCudaBackend, bundle: Bundle, cuda: CudaDevice
) -> None:
    context, memory = bound(backend, bundle, "policy")
    inputs = [seeded_inputs(bundle.manifest, "policy", seed)["z_r"] for seed in range(2)]
    alone = []
    for array in inputs:
        memory["z_r"].write(array)
        context.enqueue()
        alone.append(memory["logits"].read())
    assert not np.array_equal(*alone)
    staged, kept = cuda.allocate("float32", inputs[0].shape), cuda.allocate("float32", alone[0].shape)
    staged.write(inputs[0])
    other, busy = cuda.new_stream(), Busy(cuda)
    for _ in range(3):
        memory["z_r"].write(inputs[1])
        kept.write(np.full_like(alone[0], np.nan))
        cuda.synchronize()
        busy.keep(other)
        cuda.copy(memory["z_r"].pointer, staged.pointer, staged.nbytes, other)
        context.enqueue(other.handle)
        cuda.copy(kept.pointer, memory["logits"].pointer, kept.nbytes, other)
        other.synchronize()
        assert np.array_equal(kept.read(), alone[0])


def test_capturing_it_is_refused_and_it_goes_on(
    backend: OnnxRuntimeCudaBackend, bundle: Bundle, cuda: CudaDevice
) -> None:
    context, memory = bound(backend, bundle, "policy")
    memory["z_r"].write(seeded_inputs(bundle.manifest, "policy", 0)["z_r"])
    context.enqueue()
    alone = memory["logits"].read()
    for stream in (cuda.new_stream(), CudaStream(cuda, cuda.stream)):
        with pytest.raises(BackendError, match="cannot be captured"):
            cuda.capture(stream, lambda stream=stream: context.enqueue(stream.handle))
        memory["logits"].write(np.zeros_like(alone))
        context.enqueue(stream.handle)
        stream.synchronize()
        assert np.array_equal(memory["logits"].read(), alone)


@pytest.fixture
def mine(backend: OnnxRuntimeCudaBackend, bundle: Bundle, tmp_path: Path) -> Path:
    """The bundle, to build in."""
    return Path(shutil.copytree(bundle.folder, tmp_path / "mine.bundle", ignore=shutil.ignore_patterns("engines")))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_bundle_is_built_gated_and_loaded(mine: Path, precision: str) -> None:
    report = build(mine, precision, backend="onnxruntime-cuda")
    report.check()
    assert {graph.route for graph in report.graphs} <= {"engine", "source", "kernel"}, "nothing on the host"
    again = build(mine, precision, backend="onnxruntime-cuda")
    assert set(outcomes(again).values()) == {"reused"}
    loaded = open_backend("onnxruntime-cuda", precision)
    for graph in report.graphs:
        assert loaded.load(Bundle.open(mine), graph.graph).spec.name == graph.graph


def test_what_the_provider_cannot_run_is_run_on_the_host(
    mine: Path, monkeypatch: pytest.MonkeyPatch, cuda: CudaDevice
) -> None:
    monkeypatch.setattr(onnx_files, "_refusal", lambda path: "for the test" if path.name == "policy.onnx" else "")
    report = build(mine, "fp32", backend="onnxruntime-cuda")
    report.check()
    assert {graph.graph for graph in report.graphs if graph.route == "host"} == {"policy"}
    loaded = open_backend("onnxruntime-cuda", "fp32")
    bundle = Bundle.open(mine)
    engine = loaded.load(bundle, "policy")
    assert isinstance(engine, HostedEngine)
    reference = open_backend()
    for sample in recording(mine)().graph("policy").samples[:2]:
        found = caller(loaded, engine)(sample.inputs)
        for name, array in caller(reference, reference.load(bundle, "policy"))(sample.inputs).items():
            assert np.array_equal(found[name], array)
