"""Percentile curves: how the tail of each series rises, as far as its samples reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10

import numpy as np

from videoscene_rt.bench.report.markup import Markup
from videoscene_rt.bench.report.numbers import ms
from videoscene_rt.bench.report.svg import Scale, left_axis, line, path, svg, text

_MARKS = (0, 50, 90, 99, 99.9, 99.99)
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 24, 210


def tails(series: Mapping[str, Sequence[float]], width: int) -> Markup:
    """A line a series over the share of samples on a scale that opens towards the tail: 50, 90, 99, 99.9 %.

    Args:
        series: samples in milliseconds by name, each at least one.
        width: in pixels.
    """
    longest = max(len(samples) for samples in series.values())
    last = max(1.0, log10(longest))
    along = Scale(0.0, last, _LEFT, width - _RIGHT)
    up = Scale(0.0, max(max(samples) for samples in series.values()) * 1.06 or 1.0, _BOTTOM, _TOP)
    parts = left_axis(up, _LEFT, width - _RIGHT, "ms")
    for mark in _MARKS:
        at = -log10(1 - mark / 100)
        if at <= last:
            parts.append(line(along(at), _TOP, along(at), _BOTTOM, "grid"))
            parts.append(text(along(at), _BOTTOM + 16, "min" if mark == 0 else f"p{mark:g}", "t faint", "middle"))
    for number, samples in enumerate(series.values()):
        parts.append(path(_points(samples, along, up), f"curve s{number % 4}"))
    for number, name in enumerate(series):
        parts.append(text(_LEFT + 8, _BOTTOM - 10 - 17 * (len(series) - 1 - number), name, f"t f{number % 4} over"))
    told = "; ".join(f"{name} at most {ms(max(samples))}" for name, samples in series.items())
    return svg(width, _BOTTOM + 28, f"Percentile curves: {told}", *parts)


def _points(samples: Sequence[float], along: Scale, up: Scale) -> list[tuple[float, float]]:
    ordered = np.sort(np.asarray(samples, np.float64))
    # The k-th of n samples stands at 1 − k/n of the samples above it; the largest at a tail of one sample.
    chosen = np.unique(np.geomspace(1, ordered.size, 240).round().astype(int))
    return [(along(-log10(k / ordered.size)), up(float(ordered[-k]))) for k in reversed(chosen.tolist())]
