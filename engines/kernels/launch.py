"""Kernel launches prepared once: what is left for every run is one call of the driver for each."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from videoscene_rt.engines.errors import BackendError

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice


class Launch:
    """One kernel with its grid and its arguments.

    Args:
        device: where it runs.
        function: its CUfunction.
        blocks, threads: of the grid; both are one-dimensional.
        arguments: ctypes values in the kernel's order. They are read when it is launched, so a later change of one counts.
        shared_bytes: of dynamic shared memory that a block has.
    """

    def __init__(
        self,
        device: CudaDevice,
        function: int,
        blocks: int,
        threads: int,
        arguments: Sequence[Any],
        shared_bytes: int = 0,
    ) -> None:
        self._device = device
        self._kept = tuple(arguments)
        self._pointers = (ctypes.c_void_p * len(self._kept))(*(ctypes.addressof(value) for value in self._kept))
        self._call = (function, blocks, 1, 1, threads, 1, 1, shared_bytes)
        self._success = device.driver.CUresult.CUDA_SUCCESS

    def __call__(self, stream: int) -> None:
        """Put it on a stream, whose device is current; captured, if the stream is.

        Raises:
            BackendError: the driver refuses it.
        """
        (status,) = self._device.driver.cuLaunchKernel(*self._call, stream, ctypes.addressof(self._pointers), 0)
        if status != self._success:
            raise BackendError(f"a kernel cannot be launched on {self._device.name}: {status.name}")
