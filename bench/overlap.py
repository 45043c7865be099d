"""When the stages of one step ran, and whether two of them ran at once."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field


class StageSpan(BaseModel):
    """One stage on the device's clock, in milliseconds since the step's begin. ``lane`` is its stream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    lane: int = Field(ge=0)
    start_ms: float
    end_ms: float


class Overlap(BaseModel):
    """What the stages' spans add up to, in milliseconds.

    Attributes:
        busy_ms: all stages, one after the other.
        span_ms: from the first stage's start to the last one's end.
        at_once_ms: while two stages or more were under way.
        idle_ms: inside the span while none was.
        pairs: which stages were under way together, in the order of their starts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    busy_ms: float
    span_ms: float
    at_once_ms: float
    idle_ms: float
    pairs: tuple[tuple[str, str], ...]


def overlap(spans: Iterable[StageSpan]) -> Overlap:
    """Add up the spans of one step; two that only touch do not overlap.

    A stage that waits for the processors counts from its start event on: "at once" means that the device was free to run both.
    """
    ordered = sorted(spans, key=lambda span: (span.start_ms, span.end_ms))
    if not ordered:
        return Overlap(busy_ms=0.0, span_ms=0.0, at_once_ms=0.0, idle_ms=0.0, pairs=())
    edges = sorted(
        [(span.start_ms, 1) for span in ordered] + [(span.end_ms, -1) for span in ordered],
    )  # at one moment ends come before starts
    running, before, together, idle = 0, edges[0][0], 0.0, 0.0
    for moment, change in edges:
        together += (moment - before) if running >= 2 else 0.0
        idle += (moment - before) if running == 0 else 0.0
        running, before = running + change, moment
    pairs = tuple(
        (one.stage, other.stage)
        for number, one in enumerate(ordered)
        for other in ordered[number + 1 :]
        if max(one.start_ms, other.start_ms) < min(one.end_ms, other.end_ms)
    )
    return Overlap(
        busy_ms=sum(span.end_ms - span.start_ms for span in ordered),
        span_ms=edges[-1][0] - edges[0][0],
        at_once_ms=together,
        idle_ms=idle,
        pairs=pairs,
    )
