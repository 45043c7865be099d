"""ONNX Runtime's CUDA provider behind the engine interface: device memory from cuda.core, work on the backend's own stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.caches import as_built
from videoscene_rt.engines.host_device import HostDevice
from videoscene_rt.engines.memory import HostMemory, Memory
from videoscene_rt.engines.onnxruntime_cuda_session import CUDA, HOST, open_onnxruntime, open_session
from videoscene_rt.engines.onnxruntime_cuda_streams import OwnStream
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeContext, OnnxRuntimeEngine, half_tensors
from videoscene_rt.engines.specs import GraphSpec

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice

Files = Callable[[Bundle, str], Path]
"""Gives the ONNX file that runs a graph, digest and identity verified; raises BackendError if there is none that fits."""


class OnnxRuntimeCudaBackend:
    """ONNX files on a CUDA device, every node of them.

    Args:
        files: where the ONNX files come from.
        cuda: memory and stream; None rehearses all of it but these on ONNX Runtime's CPU provider.

    Raises:
        BackendError: ONNX Runtime is not installed, or without CUDA.
    """

    def __init__(self, files: Files, cuda: CudaDevice | None) -> None:
        self._provider = HOST if cuda is None else CUDA
        self._ort = open_onnxruntime(self._provider)
        self._files = files
        self.cuda = cuda
        self.device = self._provider.device
        self.name = f"onnxruntime-{self.device}"

    @property
    def versions(self) -> dict[str, str]:
        """ONNX Runtime's version, and that of CUDA in the driver."""
        cuda = {} if self.cuda is None else {"cuda-driver": self.cuda.cuda_version}
        return {"onnxruntime": str(self._ort.__version__), **cuda}

    @property
    def runs_on(self) -> CudaDevice | HostDevice:
        """See `Backend.runs_on`."""
        return HostDevice() if self.cuda is None else self.cuda

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> Memory:
        """Zeroed memory of the device; see `Backend.allocate`."""
        return HostMemory(dtype, shape) if self.cuda is None else self.cuda.allocate(dtype, shape)

    def synchronize(self) -> None:
        """Wait for everything on the backend's own stream."""
        if self.cuda is not None:
            self.cuda.synchronize()

    def load(self, bundle: Bundle, graph: str) -> OnnxRuntimeCudaEngine:
        """Load a graph's ONNX file; see `Backend.load`.

        Raises:
            MissingKernelsError: the provider has no kernel for some of its nodes.
        """
        return self.open(self._files(bundle, graph), bundle, graph)

    def open(self, path: Path, bundle: Bundle, graph: str, *, fallback: bool = False) -> OnnxRuntimeCudaEngine:
        """An engine over an ONNX file.

        Args:
            path: the file.
            bundle, graph: whose specification it has to keep.
            fallback: let the CPU run nodes that the provider has no kernel for.

        Raises:
            MissingKernelsError: without fallback, there are such nodes.
            BackendError: the file is refused, or is not what the specification says.
        """
        stream = None if self.cuda is None else self.cuda.stream_handle
        session = open_session(self._ort, self._provider, path, stream, fallback=fallback)
        return OnnxRuntimeCudaEngine(session, as_built(bundle, graph, half_tensors(session)), self.cuda)


class OnnxRuntimeCudaEngine(OnnxRuntimeEngine):
    """One session on a device; see `OnnxRuntimeEngine`.

    Args:
        session: made with the device's own stream.
        spec: what it has to take and give.
        device: None in a rehearsal.
    """

    def __init__(self, session: Any, spec: GraphSpec, device: CudaDevice | None) -> None:
        super().__init__(session, spec)
        self._device = device

    def context(self, scratch: int | None = None) -> OnnxRuntimeContext:
        """See `OnnxRuntimeEngine.context`."""
        if self._device is None:
            return super().context(scratch)
        return OnnxRuntimeCudaContext(self._session, self.spec, self._device)


class OnnxRuntimeCudaContext(OnnxRuntimeContext):
    """Inputs and outputs of one session bound to device memory. Contexts of one backend run one after the other.

    A run waits for the device. ONNX Runtime can be told not to (disable_synchronize_execution_providers), but then it gives its
    page-locked staging memory back from a callback of the stream, where CUDA forbids that, and the process ends: cudaFreeHost,
    error 800; ONNX Runtime 1.31 on an H100.
    """

    def __init__(self, session: Any, spec: GraphSpec, device: CudaDevice) -> None:
        super().__init__(session, spec, "cuda")
        self._stream = OwnStream(device)

    def enqueue(self, stream: int | None = None) -> None:
        """See `Context.enqueue`; without a stream, on the backend's own.

        Raises:
            BackendError: something is not bound, the stream is being captured, or ONNX Runtime fails.
        """
        with self._stream.joined(stream):
            super().enqueue()
