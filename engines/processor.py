"""What this machine's processor computes with, as far as results of reduced precision depend on it."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_LISTS = ("flags", "Features")
"""Their names on x86-64 and on Arm."""
_TELLING = (
    # x86-64: without VNNI, sums of products of INT8 are kept in 16 bits, and may saturate
    *("avx2", "avx512bw", "avx_vnni", "avx512_vnni", "amx_int8", "avx512_fp16"),
    # Arm: dot products and matrix products of INT8, arithmetic in FP16
    *("asimddp", "i8mm", "asimdhp"),
)


@cache
def processor(cpuinfo: Path = _CPUINFO) -> str:
    """The architecture, and those of its instructions by which ONNX Runtime computes INT8 and FP16 in one way or another.

    Where the system does not list instructions it is the architecture alone.

    Args:
        cpuinfo: Linux's list.

    Returns:
        Like "x86_64 avx2 avx512bw avx512_vnni".
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    rows = (line.partition(":") for line in lines)
    found = {word for name, _, words in rows if name.strip() in _LISTS for word in words.split()}
    return " ".join((platform.machine(), *(word for word in _TELLING if word in found)))
