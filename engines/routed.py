"""A GPU's backend that runs each graph the way its build found: an engine of the backend, a kernel of ours, or the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import Engine
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.hosted import HostedEngine
from videoscene_rt.engines.memory import Memory
from videoscene_rt.engines.onnxruntime_cuda import OnnxRuntimeCudaBackend
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend
from videoscene_rt.engines.platform import KINDS, BackendKind
from videoscene_rt.engines.store.kernel import kernel_for
from videoscene_rt.engines.store.located import Located, Locator, helped_by
from videoscene_rt.engines.tensorrt.engine import TensorRtBackend
from videoscene_rt.engines.tensorrt.plugin import load_plugin

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice


class OnDevice(Protocol):
    """What a routed backend needs of the one that runs the routes "engine" and "source"."""

    @property
    def versions(self) -> dict[str, str]:
        """See `Backend.versions`."""

    def load(self, bundle: Bundle, graph: str) -> Engine:
        """See `Backend.load`."""


class RoutedBackend:
    """TensorRT, TensorRT-RTX or ONNX Runtime's CUDA provider, with the kernels, and ONNX Runtime's CPU provider, beside it.

    Args:
        name: one of `KINDS` on a GPU.
        locate: finds what runs a graph.
        threads: of ONNX Runtime, for graphs on the host.

    Attributes:
        cuda: the device and its stream.

    Raises:
        BackendError: a package is missing, or there is no GPU for it.
    """

    device = "cuda"

    def __init__(self, name: str, locate: Locator, threads: int | None = None) -> None:
        self.name = name
        self._kind = KINDS[name]
        self._locate = locate
        self._threads = threads
        self._host: OnnxRuntimeBackend | None = None
        self._on_device, self.cuda = _open(self._kind, locate)

    @property
    def versions(self) -> dict[str, str]:
        """See `Backend.versions`; with ONNX Runtime's where the host runs a graph."""
        host = {} if self._host is None else self._host.versions
        return {**self._on_device.versions, **host}

    @property
    def runs_on(self) -> CudaDevice:
        """See `Backend.runs_on`."""
        return self.cuda

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> Memory:
        """See `Backend.allocate`."""
        return self.cuda.allocate(dtype, shape)

    def synchronize(self) -> None:
        """See `Backend.synchronize`."""
        self.cuda.synchronize()

    def load(self, bundle: Bundle, graph: str) -> Engine:
        """See `Backend.load`."""
        located = self._locate(bundle, graph)
        if located.route == "host":
            if self._host is None:
                self._host = OnnxRuntimeBackend(self._threads)
            return HostedEngine(self._host.load(bundle, graph), self.cuda, self.device)
        if located.plugin is not None:
            with helped_by(located.command):
                load_plugin(self._kind.module, located.plugin)  # type: ignore[arg-type]  # a plan's backend is one of the two
        with located.loading():
            kernel = located.route == "kernel"
            engine = self._kernel(located, bundle, graph) if kernel else self._on_device.load(bundle, graph)
        engine.identity = None if located.engine is None else located.engine.identity  # type: ignore[attr-defined]
        return engine

    def _kernel(self, located: Located, bundle: Bundle, graph: str) -> Engine:
        """Our kernel, compiled from this package's source, which is the stored one byte for byte.

        Raises:
            BackendError: it is not, or it does not compile.
        """
        from videoscene_rt.engines.kernels.splat import SplatEngine

        if located.read() != kernel_for(graph, self._kind):
            raise BackendError(f"graph {graph}: the stored kernel is not that of this videoscene-rt")
        return SplatEngine(self.cuda, bundle.graph(graph), bundle.manifest.preset.renderer)


def _open(kind: BackendKind, locate: Locator) -> tuple[OnDevice, CudaDevice]:
    if kind.module == "onnxruntime":
        from videoscene_rt.engines.cuda.device import CudaDevice

        cuda = CudaDevice()
        return OnnxRuntimeCudaBackend(lambda bundle, graph: locate(bundle, graph).verified(), cuda), cuda
    backend = TensorRtBackend(kind.module, lambda bundle, graph: locate(bundle, graph).read())
    return backend, backend.cuda
