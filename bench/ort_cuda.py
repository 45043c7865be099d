"""ONNX Runtime's CUDA provider as a baseline: ``python -m videoscene_rt.bench.ort_cuda request.json``.

The bundle's graphs as they were exported ("fp32"), or derived in a lower precision, with every input and output in device memory.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.bench.engine_bench import EngineRequest, measure_engine
from videoscene_rt.bench.record import Record
from videoscene_rt.bench.request import Request, main, measure_graphs
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeEngine

_ERROR_LEVEL = 3


class OrtRequest(Request):
    """Which graphs; ``provider`` "cpu" is for rehearsing without a GPU."""

    provider: str = "cuda"


class OrtMemory:
    """`videoscene_rt.engines.memory.Memory` in an OrtValue: zero at first, on "cuda" or "cpu"."""

    def __init__(self, ort: Any, dtype: str, shape: tuple[int, ...], device: str) -> None:
        self._dtype, self._shape, self._device = dtype, shape, device
        self._value = ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype), device, 0)

    def view(self, index: tuple[slice, ...] = ()) -> TensorView:
        """The whole of it; parts are not needed here.

        Raises:
            BackendError: a part was asked for.
        """
        if index:
            raise BackendError("the benchmark's memory is bound as a whole")
        return TensorView(self._value.data_ptr(), self._dtype, self._shape, self._device, self._value)

    def write(self, array: npt.NDArray[Any]) -> None:
        """Copy a host array of its whole shape into it."""
        self._value.update_inplace(np.ascontiguousarray(array, self._dtype))

    def read(self) -> npt.NDArray[Any]:
        """A copy on the host."""
        return np.array(self._value.numpy())


class OrtProviderBackend:
    """`videoscene_rt.engines.engine.Backend` over one of ONNX Runtime's providers, for measuring.

    Args:
        provider: "cuda" or "cpu".
        files: the ONNX file to run in the bundle's place, by graph.

    Raises:
        BackendError: ONNX Runtime is not installed, or was built without the provider.
    """

    def __init__(self, provider: str, files: dict[str, Path] | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError("ONNX Runtime is not installed", "pip install 'videoscene-rt[ort-cuda]'") from error
        self._ort: Any = onnxruntime
        self.device = provider
        self.name = f"onnxruntime-{provider}"
        self._provider = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}.get(provider, provider)
        if self._provider not in onnxruntime.get_available_providers():
            raise BackendError(
                f"this ONNX Runtime {onnxruntime.__version__} has no provider {self._provider}",
                "pip install 'videoscene-rt[ort-cuda]', and uninstall the package onnxruntime, which hides it",
            )
        self._files = files or {}
        self.notes: dict[str, tuple[str, ...]] = {}

    @property
    def versions(self) -> dict[str, str]:
        """ONNX Runtime's version."""
        return {"onnxruntime": str(self._ort.__version__)}

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> OrtMemory:
        """See `Backend.allocate`."""
        return OrtMemory(self._ort, dtype, shape, self.device)

    def synchronize(self) -> None:
        """Nothing to wait for: a run over bound memory returns when the device is done."""

    def load(self, bundle: Bundle, graph: str) -> OnnxRuntimeEngine:
        """A session over a graph. What the provider cannot run goes to the CPU, and a note says that something did."""
        path = self._files.get(graph, bundle.graph_path(graph))
        self.notes[graph] = ()
        if self.device == "cpu":
            return OnnxRuntimeEngine(self._session(path, fallback=True), bundle.graph(graph))
        try:
            session = self._session(path, fallback=False)
        except BackendError:
            session = self._session(path, fallback=True)
            self.notes[graph] = ("some of its nodes ran on the CPU: the CUDA provider has no kernel for them",)
        if self._provider not in session.get_providers():
            raise BackendError(f"ONNX Runtime could not start {self._provider} and would have run on the CPU")
        return OnnxRuntimeEngine(session, bundle.graph(graph))

    def _session(self, path: Path, fallback: bool) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = _ERROR_LEVEL
        if not fallback:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        providers = [self._provider] + (["CPUExecutionProvider"] if fallback and self.device != "cpu" else [])
        try:
            return self._ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's exceptions share no base class of its own
            raise BackendError(f"ONNX Runtime cannot load {path}: {error}") from error


def measure_ort(request: OrtRequest) -> dict[str, Any]:
    """Measure the graphs of a request; see `measure_graphs`.

    Raises:
        InputError: the request or the bundle is wrong.
        BackendError: the provider is not to be had.
    """
    bundle = Bundle.open(request.bundle)
    OrtProviderBackend(request.provider)  # fails here, once, where there is no such provider
    engine_request = EngineRequest(**request.model_dump(exclude={"provider"}))

    def one(graph: str) -> Record:
        with tempfile.TemporaryDirectory() as scratch:
            precision, files, kind = _derived(bundle, graph, request.precision, Path(scratch))
            backend = OrtProviderBackend(request.provider, files)
            name = f"baseline:onnxruntime-{request.provider}:{kind}"
            record = measure_engine(bundle, graph, backend, engine_request, name, precision)
            return record.model_copy(update={"notes": (*record.notes, *backend.notes[graph])})

    return measure_graphs(request, bundle, one)


def _derived(bundle: Bundle, graph: str, ceiling: str, out: Path) -> tuple[str, dict[str, Path], str]:
    """The precision that the recipe gives a graph, the file to run, and how to call it."""
    if ceiling == "fp32":
        return "fp32", {}, "exported"
    from videoscene_rt.engines.precision import derive, graph_precision

    precision = graph_precision(graph, ceiling)
    if precision == "fp32":
        return "fp32", {}, "exported"
    # Without activations there is no overflow scan: the islands that only a scan finds are missing, which costs no time worth noting.
    derived = derive(bundle, graph, precision, None, out / f"{graph}.onnx")
    return precision, {graph: derived.path}, f"derived-{precision}"


if __name__ == "__main__":
    sys.exit(main(OrtRequest, measure_ort, sys.argv[1:]))
