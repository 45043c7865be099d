"""Numbers that callers give: whole, in range, and refused by the argument's name where they are not."""

from __future__ import annotations

import operator
import os
from numbers import Real
from typing import Any

from videoscene_rt.engines.errors import InputError

THREADS_A_CORE = 4
"""More threads than this for each core only wait for each other, and a number far beyond it stops the machine."""


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """``value`` as an int; NumPy's integers count, booleans and floats do not.

    Raises:
        InputError: it is no whole number from ``least`` to ``most``.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        raise InputError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return number


def is_number(value: Any) -> bool:
    """Whether it is a real number, NumPy's too, and no boolean; NaN and infinity are."""
    return isinstance(value, Real) and not isinstance(value, bool)


def checked_threads(threads: int | None) -> int | None:
    """Threads for one operator: None, or from 1 to `THREADS_A_CORE` times the machine's cores.

    Raises:
        InputError: it is anything else.
    """
    return None if threads is None else whole_number("threads", threads, 1, THREADS_A_CORE * (os.cpu_count() or 1))
