"""ONNX Runtime's CUDA provider as a baseline: ``python -m videoscene_rt.bench.ort_cuda request.json``.

The bundle's graphs as they were exported ("fp32"), or derived in a lower precision, through the adapter that the backend
onnxruntime-cuda runs on, with every input and output in device memory.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from videoscene_rt.bench.engine_bench import EngineRequest, measure_engine
from videoscene_rt.bench.record import Record
from videoscene_rt.bench.request import Request, main, measure_graphs
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.onnxruntime_cuda import OnnxRuntimeCudaBackend, OnnxRuntimeCudaEngine
from videoscene_rt.engines.onnxruntime_cuda_session import MissingKernelsError


class OrtRequest(Request):
    """Which graphs; ``provider`` "cpu" is for rehearsing without a GPU."""

    provider: Literal["cuda", "cpu"] = "cuda"


class OrtBaseline(OnnxRuntimeCudaBackend):
    """The adapter, but what the provider cannot run goes to the CPU, and a note says that something did.

    Args:
        provider: "cuda" or "cpu".

    Attributes:
        files: the ONNX file to run in the bundle's place, by graph.
        notes: of the graphs that were loaded.

    Raises:
        BackendError: ONNX Runtime is not installed, or was built without the provider, or there is no GPU.
    """

    def __init__(self, provider: Literal["cuda", "cpu"]) -> None:
        cuda = None
        if provider == "cuda":
            from videoscene_rt.engines.cuda.device import CudaDevice

            cuda = CudaDevice()
        super().__init__(self._file, cuda)
        self.files: dict[str, Path] = {}
        self.notes: dict[str, tuple[str, ...]] = {}

    def load(self, bundle: Bundle, graph: str) -> OnnxRuntimeCudaEngine:
        """See `OnnxRuntimeCudaBackend.load`."""
        self.notes[graph] = ()
        try:
            return super().load(bundle, graph)
        except MissingKernelsError as error:
            which = f": {error.nodes}" if error.nodes else ""
            self.notes[graph] = (f"some of its nodes ran on the CPU: the CUDA provider has no kernel for them{which}",)
            return self.open(self._file(bundle, graph), bundle, graph, fallback=True)

    def _file(self, bundle: Bundle, graph: str) -> Path:
        return self.files.get(graph, bundle.graph_path(graph))


def measure_ort(request: OrtRequest) -> dict[str, Any]:
    """Measure the graphs of a request; see `measure_graphs`.

    Raises:
        InputError: the request or the bundle is wrong.
        BackendError: the provider is not to be had.
    """
    bundle = Bundle.open(request.bundle)
    backend = OrtBaseline(request.provider)  # fails here, once, where there is no such provider
    engine_request = EngineRequest(**request.model_dump(exclude={"provider"}))

    def one(graph: str) -> Record:
        with tempfile.TemporaryDirectory() as scratch:
            precision, backend.files, kind = _derived(bundle, graph, request.precision, Path(scratch))
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
