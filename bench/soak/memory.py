"""What the process holds at one moment: memory, threads, files. Read from /proc, so that no package is needed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

_ROOT = Path("/")


def resident_bytes(root: Path = _ROOT) -> int | None:
    """The process's resident set; None on a system that has no /proc/self/statm. ``root`` stands for / in tests."""
    try:
        pages = (root / "proc/self/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def threads(root: Path = _ROOT) -> int:
    """The process's threads, a native library's too; Python's own where there is no /proc."""
    try:
        return len(list((root / "proc/self/task").iterdir()))
    except OSError:
        return threading.active_count()


def open_files(root: Path = _ROOT) -> int | None:
    """Its open descriptors; None where there is no /proc/self/fd."""
    try:
        return len(list((root / "proc/self/fd").iterdir()))
    except OSError:
        return None
