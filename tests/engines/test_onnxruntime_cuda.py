"""The adapter of ONNX Runtime's CUDA provider, without a GPU: rehearsed on the CPU provider, and with played streams."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from videoscene_rt import BackendError
from videoscene_rt.engines import platform
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.building.trial import caller
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.onnxruntime_cuda import OnnxRuntimeCudaBackend, OnnxRuntimeCudaEngine
from videoscene_rt.engines.onnxruntime_cuda_session import (
    CUDA,
    HOST,
    MissingKernelsError,
    Provider,
    open_onnxruntime,
    open_session,
)
from videoscene_rt.engines.onnxruntime_probe import IDENTITY

AZURE = Provider("AzureExecutionProvider", "cpu")
"""It is in every CPU build and has no kernels at all."""

OWN, OTHER, CAPTURED = 7, 8, 9


class PlayedDevice:
    """A CUDA device that writes down what it is told."""

    stream_handle = OWN
    driver = SimpleNamespace(CUstreamCaptureStatus=SimpleNamespace(CU_STREAM_CAPTURE_STATUS_NONE=0))

    def __init__(self, told: list[str]) -> None:
        self.told = told
        self.events = 0

    def event(self) -> SimpleNamespace:
        self.events += 1
        return SimpleNamespace(handle=100 + self.events)

    def call(self, function: str, *arguments: int) -> int:
        if function == "cuStreamIsCapturing":
            return int(arguments[0] == CAPTURED)
        self.told.append(f"{function} {' '.join(map(str, arguments))}")
        return 0


class PlayedSession:
    """An InferenceSession of the policy that writes down its runs."""

    def __init__(self, real: Any, told: list[str]) -> None:
        self._real, self._told = real, told
        self.bound: list[tuple[str, str]] = []

    def get_inputs(self) -> Any:
        return self._real.get_inputs()

    def get_outputs(self) -> Any:
        return self._real.get_outputs()

    def io_binding(self) -> Any:
        def bind(name: str, device: str, *_: Any) -> None:
            self.bound.append((name, device))

        return SimpleNamespace(bind_input=bind, bind_output=bind)

    def run_with_iobinding(self, binding: Any) -> None:
        self._told.append("run")


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


@pytest.fixture
def played(bundle: Bundle) -> tuple[Any, PlayedSession, list[str]]:
    """A context of the policy on a played device, everything bound."""
    told: list[str] = []
    session = PlayedSession(open_session(open_onnxruntime(HOST), HOST, bundle.graph_path("policy")), told)
    engine = OnnxRuntimeCudaEngine(session, bundle.graph("policy"), PlayedDevice(told))  # type: ignore[arg-type]
    context = engine.context()
    for spec in (*engine.spec.inputs, *engine.spec.outputs):
        context.bind(spec.name, TensorView(4096, spec.dtype, spec.shape, "cuda", None))
    return context, session, told


def test_a_rehearsal_computes_what_the_reference_computes(bundle: Bundle) -> None:
    backend = OnnxRuntimeCudaBackend(lambda bundle, graph: bundle.graph_path(graph), None)
    assert (backend.name, backend.device, backend.runs_on.kind) == ("onnxruntime-cpu", "cpu", "cpu")
    reference = open_backend(threads=1)
    for graph in ("policy", "encode_images"):
        rng = np.random.default_rng(0)
        inputs = {spec.name: (rng.random(spec.shape) * 100).astype(spec.dtype) for spec in bundle.graph(graph).inputs}
        found = caller(backend, backend.load(bundle, graph))(inputs)
        expected = caller(reference, reference.load(bundle, graph))(inputs)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5)


def test_on_its_own_stream_it_only_runs(played: Any) -> None:
    context, session, told = played
    context.enqueue()
    context.enqueue(OWN)
    assert told == ["run"] * 2
    assert {device for _, device in session.bound} == {"cuda"}


def test_another_streams_work_comes_before_it_and_goes_on_after_it(played: Any) -> None:
    context, _, told = played
    context.enqueue(OTHER)
    before, after = (101, 102)
    assert told == [
        f"cuEventRecord {before} {OTHER}",
        f"cuStreamWaitEvent {OWN} {before} 0",
        "run",
        f"cuEventRecord {after} {OWN}",
        f"cuStreamWaitEvent {OTHER} {after} 0",
    ]


def test_a_captured_stream_is_refused_before_anything_is_put_on_it(played: Any) -> None:
    context, _, told = played
    with pytest.raises(BackendError, match="cannot be captured"):
        context.enqueue(CAPTURED)
    assert told == []


def test_memory_of_the_host_is_refused(played: Any, bundle: Bundle) -> None:
    context, _, _ = played
    array = np.zeros(bundle.graph("policy").output("logits").shape, np.float32)
    with pytest.raises(BackendError, match=r"wants logits: .* on cuda, not .* on cpu"):
        context.bind("logits", TensorView.of_numpy(array))


def test_the_cuda_session_gets_the_stream_no_tf32_and_no_way_to_the_cpu() -> None:
    """What is asked of ONNX Runtime, since a GPU is needed to get it."""
    asked: list[Any] = []

    class Options:
        def __init__(self) -> None:
            self.entries: dict[str, str] = {}

        def add_session_config_entry(self, key: str, value: str) -> None:
            self.entries[key] = value

    def session(path: str, options: Options, *, providers: Any, enable_fallback: int) -> Any:
        asked.append((options.entries, providers, enable_fallback))
        return SimpleNamespace(get_providers=lambda: [CUDA.name])

    ort = SimpleNamespace(
        __version__="1.31.0",
        SessionOptions=Options,
        InferenceSession=session,
        set_default_logger_severity=lambda severity: None,
    )
    open_session(ort, CUDA, Path("graph.onnx"), 1234)
    open_session(ort, CUDA, Path("graph.onnx"), 1234, fallback=True)
    told = {"device_id": "0", "use_tf32": "0", "user_compute_stream": "1234"}
    assert asked == [
        ({"session.disable_cpu_ep_fallback": "1"}, [(CUDA.name, told)], 0),
        ({}, [(CUDA.name, told), HOST.name], 0),
    ]


def test_nodes_without_a_kernel_are_named(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoscene_rt.engines.onnxruntime_cuda_session._check_started", lambda ort, provider: None)
    path = bundle.graph_path("policy")
    with pytest.raises(
        MissingKernelsError, match=r"cannot run .*policy\.onnx: no kernel for \w+ \(.*\) and \d+ more"
    ) as caught:
        open_session(open_onnxruntime(AZURE), AZURE, path)
    assert "\n" not in caught.value.problem
    assert open_session(open_onnxruntime(AZURE), AZURE, path, fallback=True) is not None


def test_a_provider_that_does_not_start_is_told_from_missing_kernels() -> None:
    with pytest.raises(BackendError, match="could not start AzureExecutionProvider on this machine") as caught:
        open_session(open_onnxruntime(AZURE), AZURE, IDENTITY)
    assert not isinstance(caught.value, MissingKernelsError)


def test_what_is_no_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"not a graph")
    with pytest.raises(BackendError, match=r"cannot load .*graph\.onnx") as caught:
        open_session(open_onnxruntime(HOST), HOST, tmp_path / "graph.onnx")
    assert not isinstance(caught.value, MissingKernelsError)


def test_an_onnx_runtime_without_cuda_is_told_with_the_remedy() -> None:
    if CUDA.name in open_onnxruntime(HOST).get_available_providers():
        pytest.skip("this ONNX Runtime has the CUDA provider")
    with pytest.raises(BackendError, match="has no provider CUDAExecutionProvider") as caught:
        open_onnxruntime(CUDA)
    assert (
        caught.value.remedy == "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'videoscene-rt[ort-cuda]'"
    )


@pytest.mark.parametrize(
    ("installed", "problem"),
    [
        (
            {"onnxruntime": "1.30.0"},
            "onnxruntime 1.30.0 is installed, without what onnxruntime-cuda needs, in the place of",
        ),
        ({}, "the package onnxruntime is not installed"),
    ],
)
def test_the_package_that_is_in_the_way_is_named(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], problem: str
) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise platform.metadata.PackageNotFoundError(name)
        return installed[name]

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(platform.metadata, "version", version)
    monkeypatch.setattr(platform.importlib, "import_module", missing)
    with pytest.raises(BackendError, match=problem) as caught:
        platform.platform("onnxruntime-cuda")
    assert "videoscene-rt[ort-cuda]" in (caught.value.remedy or "")
    monkeypatch.setattr(platform.metadata, "version", lambda name: "1.31.0")
    assert platform.platform("onnxruntime-cuda").version == "1.31.0"
