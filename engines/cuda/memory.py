"""Arrays in a CUDA device's memory, and in host memory that the device addresses."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.device import Block, host_array
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.slices import Index, contiguous_part

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice


class CudaMemory:
    """`Memory` at an address of a CUDA device: dense, C-contiguous; it keeps the block it lies in alive.

    Args:
        device: whose.
        block: where it lies; ``offset`` bytes from its beginning.
    """

    def __init__(self, device: CudaDevice, block: Block, dtype: str, shape: tuple[int, ...], offset: int = 0) -> None:
        self._device = device
        self._block = block
        self._offset = offset
        self.dtype = dtype
        self.shape = shape

    @property
    def pointer(self) -> int:
        """Its address on the device."""
        return self._block.pointer + self._offset

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def host(self) -> npt.NDArray[Any] | None:
        """See `Memory.host`."""
        if self._block.host_pointer is None:
            return None
        return host_array(self._block, self.dtype, self.shape, self._offset)

    def view(self, index: Index = ()) -> TensorView:
        """A contiguous part of it, to bind; see `Memory.view`.

        Raises:
            ValueError: the part is not contiguous.
        """
        offset, shape = contiguous_part(self.shape, index)
        itemsize = np.dtype(self.dtype).itemsize
        return TensorView(self.pointer + offset * itemsize, self.dtype, shape, "cuda", self._block.owner)

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


class PageLocked:
    """Page-locked host memory that every context addresses; freed with the last reference.

    Raises:
        BackendError: the driver refuses it.
    """

    def __init__(self, device: CudaDevice, nbytes: int) -> None:
        flags = device.driver.CU_MEMHOSTALLOC_PORTABLE | device.driver.CU_MEMHOSTALLOC_DEVICEMAP
        self.host_pointer: int | None = None
        self._device = device
        self.host_pointer = int(device.call("cuMemHostAlloc", max(nbytes, 1), flags))
        self.device_pointer = int(device.call("cuMemHostGetDevicePointer", self.host_pointer, 0))
        ctypes.memset(self.host_pointer, 0, nbytes)

    def __del__(self) -> None:
        if self.host_pointer is None:
            return
        driver = self._device.driver
        (status,) = driver.cuMemFreeHost(self.host_pointer)
        if (
            status == driver.CUresult.CUDA_ERROR_INVALID_CONTEXT
        ):  # the last reference went in a thread without a context
            with suppress(Exception):  # while the interpreter ends, nothing need be freed
                self._device.call("cuMemFreeHost", self.host_pointer)
