"""Freed memory goes back to the system, so that one large step after another does not add up."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Collect what nothing holds, and `trim`."""
    gc.collect()
    trim()


def trim() -> None:
    """Let the C library give back what is free, where it is glibc.

    It would keep much of it: a large block that was freed leaves a hole among what stays; small things are put there, the next large block
    of that size does not fit any more, and the holes add up.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
