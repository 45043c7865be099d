"""A device's backend that finds each graph's engine in the store, and lets the host run what the device cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import Engine
from videoscene_rt.engines.hosted import HostedEngine
from videoscene_rt.engines.memory import Memory
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend
from videoscene_rt.engines.platform import KINDS
from videoscene_rt.engines.store.selection import Locator
from videoscene_rt.engines.tensorrt.engine import TensorRtBackend

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice


class RoutedBackend:
    """TensorRT or TensorRT-RTX, with ONNX Runtime's CPU provider beside it for graphs whose route is "host".

    Args:
        name: "tensorrt" or "tensorrt-rtx".
        locate: finds what runs a graph.
        threads: of ONNX Runtime, for graphs on the host.

    Raises:
        BackendError: a package is missing, or there is no GPU for it.
    """

    device = "cuda"

    def __init__(self, name: str, locate: Locator, threads: int | None = None) -> None:
        self.name = name
        self._locate = locate
        self._threads = threads
        self._host: OnnxRuntimeBackend | None = None
        self._on_device = TensorRtBackend(KINDS[name].module, lambda bundle, graph: locate(bundle, graph).read())  # type: ignore[arg-type]

    @property
    def cuda(self) -> CudaDevice:
        """The device and its stream."""
        return self._on_device.cuda

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
        return self._on_device.allocate(dtype, shape)

    def synchronize(self) -> None:
        """See `Backend.synchronize`."""
        self._on_device.synchronize()

    def load(self, bundle: Bundle, graph: str) -> Engine:
        """See `Backend.load`."""
        located = self._locate(bundle, graph)
        if located.route != "host":
            with located.loading():
                engine = self._on_device.load(bundle, graph)
            engine.identity = None if located.engine is None else located.engine.identity  # type: ignore[attr-defined]
            return engine
        if self._host is None:
            self._host = OnnxRuntimeBackend(self._threads)
        return HostedEngine(self._host.load(bundle, graph), self.cuda, self.device)
