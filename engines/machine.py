"""The first GPU, asked through the driver's own library in milliseconds: no nvidia-smi, no CUDA package, no context."""

from __future__ import annotations

import ctypes
import os
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_LIBRARY = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR (cuda.h)."""
_NAME_BYTES = 256
_ASKING = threading.Lock()
_DRIVER_FILES = ("/sys/module/nvidia/version", "/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Gpu:
    """A GPU as the driver names it: "NVIDIA H100 80GB HBM3", compute capability "9.0"; a MIG slice has a name of its own."""

    name: str
    compute_capability: str


def load_kernels_lazily() -> None:
    """Let CUDA load each kernel when it first runs, unless the user says otherwise. TensorRT 8.6's CUDA would load every one of its
    libraries' at the start: seconds, and hundreds of MiB. The driver reads this once, when it starts: call it before."""
    os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")


def gpu() -> Gpu | None:
    """The first GPU that CUDA shows this process (CUDA_VISIBLE_DEVICES counts); None if there is none. Asked once."""
    with _ASKING:
        return _gpu()


def look_for_gpu() -> None:
    """Ask while the caller does something else: the driver may take a second to start. `gpu` waits for the answer."""
    threading.Thread(target=gpu, name="gpu").start()


@cache
def _gpu() -> Gpu | None:
    load_kernels_lazily()
    try:
        return _ask(ctypes.CDLL(_LIBRARY))
    except OSError:
        return None


@cache
def driver_version() -> str | None:
    """Version of the NVIDIA kernel driver ("550.54.15"); None where there is none. Recorded, never compared."""
    for path in _DRIVER_FILES:
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        # The /proc file says "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar …".
        words = [word for word in text.split() if word[:1].isdigit() and "." in word]
        if words:
            return words[0]
    return None


def _ask(cuda: ctypes.CDLL) -> Gpu | None:
    device = ctypes.c_int()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGet(ctypes.byref(device), 0) != 0:
        return None
    name = ctypes.create_string_buffer(_NAME_BYTES)
    major, minor = ctypes.c_int(), ctypes.c_int()
    failed = (
        cuda.cuDeviceGetName(name, _NAME_BYTES, device)
        or cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
        or cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    )
    return None if failed else Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}")
