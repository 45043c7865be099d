"""Horizontal bars with names: stages against their roofline, ratios with their spread, records side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from videoscene_rt.bench.report.markup import Markup
from videoscene_rt.bench.report.svg import LETTER, Scale, line, rect, svg, text

_ROW, _BAR, _SIDE = 42, 16, 12


@dataclass(frozen=True)
class Bar:
    """A bar: its name, its length, and what is written at its end.

    ``low`` and ``high`` are the ends of a whisker; ``floor`` is a mark that the bar is held against, with its name in ``title``.
    """

    name: str
    value: float
    words: str
    class_: str = "c0"
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    title: str | None = None


def bars(rows: Sequence[Bar], width: int, what: str, one: float | None = None) -> Markup:
    """The bars under one another, each under its name.

    Args:
        rows: at least one.
        width: in pixels.
        what: for those who do not see it.
        one: where a line stands that the bars are to be read against; 1 for ratios.
    """
    room = max(len(row.words) for row in rows) * LETTER + 14
    highest = max(max(row.value, row.high or 0.0, row.floor or 0.0) for row in rows)
    scale = Scale(0.0, max(highest, one or 0.0) or 1.0, _SIDE, width - _SIDE - room)
    parts: list[Markup] = []
    for number, row in enumerate(rows):
        y = number * _ROW + 22
        parts.append(text(_SIDE, y - 5, row.name, "t"))
        parts.append(rect(_SIDE, y, scale(row.value) - _SIDE, _BAR, row.class_, row.title))
        end = scale(row.value)
        if row.low is not None and row.high is not None:
            middle = y + _BAR / 2
            parts += [line(scale(row.low), middle, scale(row.high), middle, "whisker")]
            parts += [line(scale(at), middle - 5, scale(at), middle + 5, "whisker") for at in (row.low, row.high)]
            end = max(end, scale(row.high))
        if row.floor is not None:
            parts.append(line(scale(row.floor), y - 3, scale(row.floor), y + _BAR + 3, "floor"))
            end = max(end, scale(row.floor))
        if one is not None:
            end = max(end, scale(one))
        parts.append(text(end + 8, y + _BAR - 3, row.words, "t"))
    bottom = len(rows) * _ROW + 4
    if one is not None:
        parts.insert(0, line(scale(one), 4, scale(one), bottom - 4, "limit"))
    told = "; ".join(f"{row.name} {row.words}" for row in rows)
    return svg(width, bottom, f"{what}: {told}", *parts)
