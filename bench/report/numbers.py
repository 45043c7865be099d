"""Numbers as a page prints them."""

from __future__ import annotations

from math import floor, log10

NONE = "–"


def ms(value: float | None) -> str:
    """Milliseconds with their unit: 0.0123 → "12.3 µs", 1.689 → "1.69 ms", 0.64 → "640 µs", 330.2 → "330 ms"."""
    if value is None:
        return NONE
    return f"{digits(value * 1e3)} µs" if 0 < value < 1 else f"{digits(value)} ms"


def digits(value: float | None) -> str:
    """A number to three significant digits, whole from 100 on: 1689.1 → "1,689"."""
    if value is None:
        return NONE
    size = abs(value)
    if size >= 100 or size == 0:
        return f"{value:,.0f}"
    return f"{value:.{max(0, min(6, 2 - floor(log10(size))))}f}"


def size(count: float | None) -> str:
    """Bytes: 1536 → "1.5 KiB"."""
    if count is None:
        return NONE
    value, units = float(count), ("B", "KiB", "MiB", "GiB", "TiB")
    for unit in units[:-1]:
        if abs(value) < 1023.95:
            return f"{value:,.0f} B" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} {units[-1]}"


def share(value: float | None) -> str:
    """0.123 → "12 %"."""
    return NONE if value is None else f"{value:.0%}".replace("%", " %")


def change(value: float) -> str:
    """A relative change with its sign: 0.031 → "+3.1 %"."""
    return f"{value:+.1%}".replace("%", " %")
