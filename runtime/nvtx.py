"""Names for Nsight: a range around each stage's enqueue where the package `nvtx` is installed, nothing at all where it is not.

A captured step is one launch: its stages' ranges are seen while it is captured, at load and in `bind`, and not when it is replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

try:
    import nvtx
except ImportError:
    nvtx = None

Ranges = Callable[[str], AbstractContextManager[Any]]

DOMAIN = "videoscene_rt"
_NOTHING = nullcontext()


def ranges(package: Any) -> Ranges:
    """How a range is had, decided once.

    Args:
        package: the module `nvtx`, whose annotations can be entered again and again; None if it is not installed.
    """
    if package is None:
        return lambda name: _NOTHING
    return cache(lambda name: package.annotate(name, domain=DOMAIN))


stage_range = ranges(nvtx)
"""The range of a stage, by its name: a context manager, the same one every time."""
