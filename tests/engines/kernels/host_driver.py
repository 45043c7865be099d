"""A stand-in for a CUDA device: it hands out host memory and does on the host, at once, what a launch of a splat kernel does."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.engines.kernels.cpu_library import CpuLibrary
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.host_device import HostDevice


class HostDriverDevice:
    """As much of `videoscene_rt.engines.cuda.device.CudaDevice` as the renderer's engine uses.

    Args:
        library: runs the kernels. l2_bytes: what it says of its cache. index: of the device, for the cache of what is loaded.
    """

    def __init__(self, library: CpuLibrary, l2_bytes: int, index: int) -> None:
        self.index, self.name, self.compute_capability, self.stream_handle = index, "host", "9.0", 17
        self._library, self._l2_bytes = library, l2_bytes
        self._names: list[str] = []
        self.launched: list[tuple[str, int]] = []
        self.driver = SimpleNamespace(
            CUresult=SimpleNamespace(CUDA_SUCCESS=SimpleNamespace(name="CUDA_SUCCESS")),
            CUdevice_attribute=SimpleNamespace(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE="L2"),
            cuLaunchKernel=self._launch,
        )
        self._refused = SimpleNamespace(name="CUDA_ERROR_INVALID_VALUE")

    def use(self) -> None:
        """There is one context."""

    def synchronize(self) -> None:
        """Everything has run."""

    def call(self, function: str, *arguments: Any) -> Any:
        """The few that are used."""
        if function == "cuDeviceGetAttribute":
            return self._l2_bytes
        if function == "cuModuleLoadData":
            return "module"
        assert function == "cuModuleGetFunction", function
        self._names.append(arguments[1].decode())
        return len(self._names)

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> Any:
        """Host memory with the pointer of it."""
        block = HostDevice().block(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return SimpleNamespace(pointer=block.pointer, owner=block.owner)

    def _launch(self, function: int, *call: Any) -> tuple[Any]:
        blocks, _, _, _, _, _, shared, stream, pointers, extra = call
        assert (shared, extra) == (0, 0)
        arguments, group = (int(address or 0) for address in (ctypes.c_void_p * 2).from_address(pointers))
        name = self._names[function - 1]
        self.launched.append((name, stream))
        status = self._library.launch(name, blocks, arguments, ctypes.c_int32.from_address(group).value)
        return (self.driver.CUresult.CUDA_SUCCESS if status == 0 else self._refused,)


def on_device(array: np.ndarray) -> TensorView:
    """A host array that calls itself the device's."""
    return TensorView(array.ctypes.data, array.dtype.name, array.shape, "cuda", array)
