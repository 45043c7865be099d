"""Arrays in a device's memory and in page-locked memory, as a user's program has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.device import Device


class DeviceInput:
    """A device array of nobody's library: it offers `__cuda_array_interface__`, version 3, and nothing else."""

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """No stream is named: the content is there, and nobody writes to it."""
        return {
            "shape": self._memory.shape,
            "typestr": np.dtype(self._memory.dtype).str,
            "data": (self._memory.pointer, False),
            "strides": None,
            "version": 3,
            "stream": None,
        }


def on_device(device: Device, array: npt.NDArray[Any]) -> Any:
    """The array in device memory; on the CPU a copy in host memory."""
    memory = device.memory(array.dtype.name, array.shape, device.block(array.nbytes))
    memory.write(array)
    device.synchronize()
    return memory.read() if device.kind == "cpu" else DeviceInput(memory)


def page_locked(device: Device, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array in host memory that the device copies from without staging."""
    if device.kind == "cpu":
        return array.copy()
    memory: Any = device.memory(array.dtype.name, array.shape, device.block(array.nbytes, "pinned"))
    found: npt.NDArray[Any] = memory.host
    found[...] = array
    return found
