"""One step by lane (a CUDA stream): lanes as rows, stages as boxes to scale, and where two or more ran at once."""

from __future__ import annotations

from collections.abc import Sequence

from videoscene_rt.bench.overlap import StageSpan
from videoscene_rt.bench.report.markup import Markup
from videoscene_rt.bench.report.numbers import ms
from videoscene_rt.bench.report.svg import LETTER, Scale, bottom_axis, rect, svg, text

_ROW, _BOX, _LEFT, _RIGHT, _BAND = 52, 30, 58, 12, 14


def timeline(spans: Sequence[StageSpan], width: int) -> Markup:
    """The stages of a step on the device's clock; a stage that is too short for its name has its number, which the table repeats."""
    lanes = max(span.lane for span in spans) + 1
    end = max(span.end_ms for span in spans)
    scale = Scale(0.0, end * 1.01 or 1.0, _LEFT, width - _RIGHT)
    bottom = 22 + lanes * _ROW
    parts = [
        text(_LEFT - 8, 22 + lane * _ROW + _BOX / 2 + 4, f"lane {lane}", "t faint", "end") for lane in range(lanes)
    ]
    for begin, stop in together(spans):
        title = f"two or more at once, {ms(stop - begin)}"
        parts.append(rect(scale(begin), 22 - _BAND, scale(stop) - scale(begin), bottom - 22 + _BAND - 8, "both", title))
    for number, span in enumerate(spans, 1):
        x, wide = scale(span.start_ms), scale(span.end_ms) - scale(span.start_ms)
        y = 22 + span.lane * _ROW
        title = f"{number} {span.stage}: {ms(span.start_ms)} to {ms(span.end_ms)}, {ms(span.end_ms - span.start_ms)}"
        parts.append(rect(x, y, wide, _BOX, f"c{span.lane % 4}", title))
        words = next((w for w in (f"{number} {span.stage}", str(number)) if len(w) * LETTER + 8 <= wide), None)
        if words is not None:
            parts.append(text(x + wide / 2, y + _BOX / 2 + 4, words, "t on", "middle"))
        else:
            parts.append(text(x + wide / 2, y + _BOX + 12, str(number), "t faint", "middle"))
    return svg(
        width,
        bottom + 34,
        f"Timeline of one step on {lanes} lanes, {ms(end)}",
        *bottom_axis(scale, bottom, "ms", 22),
        *parts,
    )


def together(spans: Sequence[StageSpan]) -> list[tuple[float, float]]:
    """When two or more stages were under way: pieces from, to, in milliseconds."""
    edges = sorted([(span.start_ms, 1) for span in spans] + [(span.end_ms, -1) for span in spans])
    found: list[tuple[float, float]] = []
    running, since = 0, 0.0
    for moment, change in edges:
        if running < 2 <= running + change:
            since = moment
        elif running >= 2 > running + change and moment > since:
            found.append((since, moment))
        running += change
    return found
