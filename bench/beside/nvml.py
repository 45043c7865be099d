"""The GPU's energy counter: NVML, called directly, so that a reading takes microseconds and needs no package."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from videoscene_rt.bench.which_gpu import which_gpu

_LIBRARY = "libnvidia-ml.so.1"


class EnergyCounter:
    """Reads the energy since the driver was loaded of the GPU that CUDA shows this process first.

    (nvmlDeviceGetTotalEnergyConsumption; millijoules, Volta and later.)

    Args:
        load: gives the library; for tests.

    Attributes:
        works: whether there is such a counter; without a driver or on an older GPU there is none.
    """

    def __init__(self, load: Callable[[str], Any] = ctypes.CDLL) -> None:
        self._device = ctypes.c_void_p()
        self._nvml: Any = None
        with suppress(OSError, AttributeError):
            library = load(_LIBRARY)
            found = library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(
                which_gpu(), ctypes.byref(self._device)
            )
            if found == 0:
                self._nvml = library
        self.works = self.joules() is not None

    def joules(self) -> float | None:
        """Joules so far; None where nobody counts."""
        if self._nvml is None:
            return None
        found = ctypes.c_ulonglong()
        status = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._device, ctypes.byref(found))
        return found.value / 1e3 if status == 0 else None
