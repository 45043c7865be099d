"""Memory, copies and a stream of a CUDA device, through cuda.core and the driver."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.memory import Index

_INSTALL = "pip install 'videoscene-rt[cuda]'"


class CudaDevice:
    """One device: its primary context and one stream, on which everything here runs in order.

    Args:
        index: as CUDA counts the devices it shows this process.

    Raises:
        BackendError: cuda-core is not installed, or there is no such device or no driver.
    """

    def __init__(self, index: int = 0) -> None:
        try:
            from cuda.bindings import driver
            from cuda.core import Device
        except (ImportError, RuntimeError) as error:  # without a driver, some versions fail while they are imported
            raise BackendError(f"cuda-core cannot be imported: {_first_line(error)}", _INSTALL) from error
        self._driver = driver
        try:
            self._device = Device(index)
            self._device.set_current()
            self._stream = self._device.create_stream()
        except Exception as error:  # cuda.core's exceptions share no public base class
            raise BackendError(
                f"there is no usable CUDA device {index}: {_first_line(error)}",
                "vsrt doctor says what this machine has",
            ) from error

    @property
    def name(self) -> str:
        """As the driver names it."""
        return str(self._device.name)

    @property
    def compute_capability(self) -> str:
        """Like "9.0"."""
        major, minor = self._device.compute_capability
        return f"{major}.{minor}"

    @property
    def cuda_version(self) -> str:
        """The newest CUDA that the driver knows, like "13.0"."""
        version = self._call("cuDriverGetVersion")
        return f"{version // 1000}.{version % 1000 // 10}"

    @property
    def stream(self) -> Any:
        """The cuda.core Stream."""
        return self._stream

    @property
    def stream_handle(self) -> int:
        """The stream's CUstream, as `Context.enqueue` takes it."""
        return int(self._stream.handle)

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> CudaMemory:
        """Zeroed device memory, at a multiple of 256 bytes.

        Raises:
            BackendError: there is not enough.
        """
        nbytes = prod(shape) * np.dtype(dtype).itemsize
        try:
            self._device.set_current()
            buffer = self._device.allocate(max(nbytes, 1), stream=self._stream)
        except Exception as error:  # as above
            raise BackendError(
                f"{self.name} has no {nbytes / 2**20:.0f} MiB left: {_first_line(error)}",
                "use a smaller preset, or end what else uses the GPU",
            ) from error
        memory = CudaMemory(self, buffer, dtype, shape)
        if nbytes:
            self._call("cuMemsetD8Async", memory.pointer, 0, nbytes, self._stream.handle)
        return memory

    def upload(self, pointer: int, array: npt.NDArray[Any]) -> None:
        """Copy a C-contiguous host array to an address, in the stream's order; the array may be changed on return."""
        if array.nbytes:
            self._call("cuMemcpyHtoDAsync", pointer, array.ctypes.data, array.nbytes, self._stream.handle)
            # Pageable memory is staged before the call returns; page-locked memory is read later.
            self.synchronize()

    def download(self, pointer: int, array: npt.NDArray[Any]) -> None:
        """Copy from an address into a C-contiguous host array, after everything in the stream; waits."""
        if array.nbytes:
            self._call("cuMemcpyDtoHAsync", array.ctypes.data, pointer, array.nbytes, self._stream.handle)
            self.synchronize()

    def synchronize(self) -> None:
        """Wait for the stream.

        Raises:
            BackendError: something that was enqueued failed.
        """
        try:
            self._stream.sync()
        except Exception as error:  # as above
            raise BackendError(f"{self.name} failed: {_first_line(error)}") from error

    def _call(self, function: str, *arguments: Any) -> Any:
        self._device.set_current()  # a context is current in a thread, and this may be another one
        status, *results = getattr(self._driver, function)(*arguments)
        if status != self._driver.CUresult.CUDA_SUCCESS:
            raise BackendError(f"{function} failed on {self.name}: {status.name}")
        return results[0] if results else None


class CudaMemory:
    """`Memory` on a CUDA device: dense, C-contiguous, zero at first; freed with its last view."""

    def __init__(self, device: CudaDevice, buffer: Any, dtype: str, shape: tuple[int, ...]) -> None:
        self._device = device
        self._buffer = buffer
        self.dtype = dtype
        self.shape = shape

    @property
    def pointer(self) -> int:
        """Its address on the device."""
        return int(self._buffer.handle)

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def view(self, index: Index = ()) -> TensorView:
        """A contiguous part of it, to bind; see `Memory.view`.

        Raises:
            ValueError: the part is not contiguous.
        """
        offset, shape = contiguous_part(self.shape, index)
        return TensorView(
            self.pointer + offset * np.dtype(self.dtype).itemsize, self.dtype, shape, "cuda", self._buffer
        )

    def write(self, array: npt.NDArray[Any]) -> None:
        """Copy a host array to its front; see `Memory.write`.

        Raises:
            ValueError: the array is longer, or its other axes differ.
        """
        if array.ndim != len(self.shape) or array.shape[1:] != self.shape[1:] or array.shape[:1] > self.shape[:1]:
            raise ValueError(f"an array of shape {array.shape} does not go into {self.shape}")
        self._device.upload(self.pointer, np.ascontiguousarray(array, self.dtype))

    def read(self) -> npt.NDArray[Any]:
        """A copy of its content; waits for what was enqueued before. See `Memory.read`."""
        array = np.empty(self.shape, self.dtype)
        self._device.download(self.pointer, array)
        return array


def contiguous_part(shape: tuple[int, ...], index: Index) -> tuple[int, tuple[int, ...]]:
    """Where a part of a dense array begins, in elements, and its shape.

    Args:
        shape: of the whole.
        index: slices of the first axes, with step 1.

    Raises:
        ValueError: the part is not contiguous.
    """
    spans = [part.indices(length) for part, length in zip(index, shape, strict=False)]
    if len(index) > len(shape) or any(step != 1 for _, _, step in spans):
        raise ValueError(f"{index} is no contiguous part of {shape}")
    part = tuple(max(stop - start, 0) for start, stop, _ in spans) + shape[len(spans) :]
    cut = [axis for axis, length in enumerate(part) if length != shape[axis]]
    if cut and 0 not in part and any(length != 1 for length in part[: cut[-1]]):
        raise ValueError(f"{index} is no contiguous part of {shape}")
    offset = sum(start * prod(shape[axis + 1 :]) for axis, (start, _, _) in enumerate(spans))
    return offset, part


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
