"""Which of nvidia-smi's GPUs is the one that CUDA shows this process first: the work runs there, so its clocks, power and energy count.

CUDA_VISIBLE_DEVICES may leave GPUs out, and CUDA counts the fastest first; nvidia-smi and NVML do neither. A GPU's UUID is the
same in both.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from typing import Any
from uuid import UUID

from videoscene_rt.engines.machine import load_kernels_lazily

_LIBRARY, _UUID_BYTES, _TIMEOUT_S = "libcuda.so.1", 16, 20
_LIST = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")


@cache
def which_gpu() -> int:
    """Its number as nvidia-smi and NVML count; 0 where that cannot be told (no driver, a MIG slice). Asked once."""
    if shutil.which("nvidia-smi") is None:
        return 0
    return number_of(cuda_uuid(), _listed())


def number_of(uuid: str | None, listed: str) -> int:
    """The number beside a UUID in nvidia-smi's list of "number, UUID"; 0 where it is not there."""
    rows = (line.partition(",") for line in listed.splitlines())
    found = {name.strip().lower(): number.strip() for number, _, name in rows}
    number = found.get((uuid or "").lower(), "")
    return int(number) if number.isdecimal() else 0


def cuda_uuid(load: Callable[[str], Any] = ctypes.CDLL) -> str | None:
    """The UUID of CUDA's first device, "GPU-8f6d2a4e-…"; None without a driver or a device.

    Args:
        load: gives the driver's library; for tests.
    """
    load_kernels_lazily()
    device, found = ctypes.c_int(), (ctypes.c_ubyte * _UUID_BYTES)()
    try:
        cuda = load(_LIBRARY)
        failed = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0) or cuda.cuDeviceGetUuid_v2(found, device)
    except (OSError, AttributeError):  # no driver, or one older than CUDA 11.4
        return None
    return None if failed else f"GPU-{UUID(bytes=bytes(found))}"


def _listed() -> str:
    try:
        done = subprocess.run(_LIST, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
