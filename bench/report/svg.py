"""The few shapes that plots are made of, and axes. Colours are classes of the style sheet, so that a plot follows light and dark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10

from videoscene_rt.bench.report.markup import Markup, tag

WIDE, NARROW = 780, 360
"""Widths in pixels that every plot is drawn for: a desktop's column and a telephone's; the style sheet shows one of them."""
LETTER = 6.6
"""About the width of a letter of the plots' 12 px."""
_SPARE = 10
"""Pixels that a number may stick out over the end of its axis."""
_STEPS = (1, 2, 2.5, 5, 10)


def figure(draw: Callable[[int], Markup], caption: str) -> Markup:
    """A plot in both widths with its caption."""
    plots = [tag("div", draw(width), class_=name) for width, name in ((WIDE, "wide"), (NARROW, "narrow"))]
    return tag("figure", *plots, tag("figcaption", caption))


def svg(width: int, height: float, title: str, *parts: Markup) -> Markup:
    """A picture of so many pixels; the title is for those who do not see it."""
    return tag(
        "svg", tag("title", title), *parts, xmlns="http://www.w3.org/2000/svg", role="img",
        viewBox=f"0 0 {width} {height:.0f}", width=width, height=float(round(height)),
    )  # fmt: skip


def rect(x: float, y: float, width: float, height: float, class_: str, title: str | None = None) -> Markup:
    """A box, at least half a pixel wide; the title shows when a mouse rests on it."""
    inner = None if title is None else tag("title", title)
    return tag("rect", inner, x=x, y=y, width=max(0.5, width), height=max(0.0, height), class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A line through points."""
    return tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=class_)


def dot(x: float, y: float, class_: str, radius: float) -> Markup:
    """A dot."""
    return tag("circle", cx=x, cy=y, r=radius, class_=class_)


def text(x: float, y: float, words: str, class_: str = "t", anchor: str = "start") -> Markup:
    """Words; ``anchor`` says whether x is their start, their middle or their end."""
    return tag("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


@dataclass(frozen=True)
class Scale:
    """From values to pixels, a straight line."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        return self.first + ((value - self.low) / span if span > 0 else 0.5) * (self.last - self.first)


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most so many round numbers from low to high."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, most)
    power = 10.0 ** floor(log10(rough))
    step = next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))
    first = -(-low // step)
    found = []
    while (value := first * step) <= high + 1e-6 * step:  # a rounding beyond the end is the end
        found.append(value + 0.0)  # what would be -0 is 0
        first += 1
    return found


def bottom_axis(scale: Scale, y: float, unit: str, top: float | None = None) -> list[Markup]:
    """Ticks under a plot, with lines up to ``top``, and the unit at the end."""
    marks = ticks(scale.low, scale.high, max(2, int((scale.last - scale.first) / 85)))
    found = [line(scale.first, y, scale.last, y, "axis")]
    for value in marks:
        x = scale(value)
        if top is not None:
            found.append(line(x, top, x, y, "grid"))
        words = f"{value:g}"
        at_the_end = x + len(words) * LETTER / 2 > scale.last + _SPARE
        found.append(text(x, y + 16, words, "t faint", "end" if at_the_end else "middle"))
    found.append(text(scale.last, y + 32, unit, "t faint", "end"))
    return found


def left_axis(scale: Scale, x: float, right: float, unit: str, most: int = 4) -> list[Markup]:
    """Ticks beside a plot, with lines across, and the unit over them."""
    found = []
    for value in ticks(scale.low, scale.high, most):
        y = scale(value)
        found += [line(x, y, right, y, "grid"), text(x - 6, y + 4, f"{value:g}", "t faint", "end")]
    if unit:
        found.append(text(x - 6, min(scale.first, scale.last) - 8, unit, "t faint", "end"))
    return found
