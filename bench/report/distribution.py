"""How latencies are spread: a histogram for each series over one axis, and the samples in the order they were taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from videoscene_rt.bench.record import Statistics
from videoscene_rt.bench.report.markup import Markup
from videoscene_rt.bench.report.numbers import ms
from videoscene_rt.bench.report.svg import LETTER, Scale, bottom_axis, dot, left_axis, line, rect, svg, text

_ROW, _BARS, _SIDE = 132, 62, 12
_MOST_DOTS = 1200


def histograms(series: Mapping[str, tuple[Sequence[float], Statistics]], width: int) -> Markup:
    """One row a series: its bars, and marks at p50, p90, p99 and the maximum, as far as there are samples enough.

    Args:
        series: samples in milliseconds and their statistics, by name.
        width: in pixels.
    """
    low = min(found.min for _, found in series.values())
    high = max(found.max for _, found in series.values())
    margin = (high - low) * 0.04 or max(high * 0.1, 1e-3)
    scale = Scale(max(0.0, low - margin), high + margin, _SIDE, width - _SIDE)
    bins = np.linspace(scale.low, scale.high, (int(scale.last - scale.first) // 6) + 1)
    parts: list[Markup] = []
    for row, (name, (samples, found)) in enumerate(series.items()):
        top = row * _ROW + 20
        parts += [text(_SIDE, top - 4, f"{name} · {found.count:,} samples", "t strong")]
        parts += _bars(np.asarray(samples), bins, scale, top + _ROW - 22 - _BARS, f"c{row % 4}")
        parts += _marks(found, scale, top + 15, top + _ROW - 22)
        parts.append(line(scale.first, top + _ROW - 22, scale.last, top + _ROW - 22, "axis"))
    bottom = len(series) * _ROW
    names = ", ".join(f"{name}: median {ms(found.p50)}" for name, (_, found) in series.items())
    return svg(width, bottom + 36, f"Latency distribution. {names}", *bottom_axis(scale, bottom - 2, "ms"), *parts)


def run_chart(samples: Sequence[float], width: int, limit: float | None = None, word: str = "") -> Markup:
    """Samples in the order they were taken, in milliseconds; a line at a limit, and its name."""
    values = np.asarray(samples, np.float64)
    highest = max(float(values.max()), limit or 0.0)
    left, top, bottom = 52, 24, 170
    up = Scale(0.0, highest * 1.08 or 1.0, bottom, top)
    along = Scale(1, max(2, values.size), left, width - _SIDE)
    chosen = np.unique(np.linspace(0, values.size - 1, min(values.size, _MOST_DOTS)).round().astype(int))
    radius = 1.6 if values.size > 200 else 2.6
    parts = [dot(along(int(n) + 1), up(float(values[n])), "c0 dot", radius) for n in chosen]
    if limit is not None:
        parts += [
            line(left, up(limit), width - _SIDE, up(limit), "limit"),
            text(width - _SIDE, up(limit) - 5, word, "t bad", "end"),
        ]
    axes = [*left_axis(up, left, width - _SIDE, "ms"), *bottom_axis(along, bottom, "sample")]
    return svg(
        width, bottom + 36, f"{values.size} samples in their order, {ms(float(values.max()))} at most", *axes, *parts
    )


def _bars(samples: np.ndarray, bins: np.ndarray, scale: Scale, top: float, class_: str) -> list[Markup]:
    counts, _ = np.histogram(samples, bins)
    highest = max(1, int(counts.max()))
    found = []
    for number, count in enumerate(counts.tolist()):
        if count:
            height = max(1.5, _BARS * count / highest)
            x, end = scale(float(bins[number])), scale(float(bins[number + 1]))
            title = f"{count} from {ms(float(bins[number]))} to {ms(float(bins[number + 1]))}"
            found.append(rect(x, top + _BARS - height, end - x - 1, height, class_, title))
    return found


def _marks(found: Statistics, scale: Scale, top: float, bottom: float) -> list[Markup]:
    """Vertical lines with their names; a name that would touch the one before is left out, its line stays."""
    marks = [("p50", found.p50), ("p90", found.p90), ("p99", found.p99), ("p99.9", found.p99_9), ("max", found.max)]
    parts: list[Markup] = []
    free = scale.first - 1
    for name, value in marks:
        if value is None:
            continue
        x, words = scale(value), f"{name} {ms(value)}"
        parts.append(line(x, top + 4, x, bottom, "mark"))
        wide = len(words) * LETTER
        left = min(max(x - wide / 2, scale.first), scale.last - wide)
        if left >= free:
            parts.append(text(left, top, words, "t"))
            free = left + wide + 8
    return parts
