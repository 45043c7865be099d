"""Where each stage of a schedule stands: one box a stage, lanes as rows, to scale in milliseconds where times are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING

from videoscene_rt.engines.errors import InputError

if TYPE_CHECKING:
    from videoscene_rt.chain.program import StageTime
    from videoscene_rt.chain.schedule import Schedule


@dataclass(frozen=True)
class Box:
    """A stage in the picture: ``begin`` and ``end`` in milliseconds, or in units of one stage where no times are known."""

    number: int
    stage: str
    graph: str
    lane: int
    waits: tuple[str, ...]
    begin: float
    end: float


@dataclass(frozen=True)
class Layout:
    """All boxes, in the schedule's order.

    Attributes:
        lanes: how many rows.
        span: where the last box ends; the first begins at 0.
        timed: whether that is milliseconds.
    """

    boxes: tuple[Box, ...]
    lanes: int
    span: float
    timed: bool

    @property
    def arrows(self) -> tuple[tuple[Box, Box], ...]:
        """From what is waited for to who waits, across lanes; within a lane the order says it."""
        by_name = {box.stage: box for box in self.boxes}
        pairs = ((by_name[name], box) for box in self.boxes for name in box.waits)
        return tuple((source, target) for source, target in pairs if source.lane != target.lane)

    @property
    def together(self) -> float:
        """How long more than one lane is busy, in the units of the boxes."""
        edges = sorted([(box.begin, 1) for box in self.boxes] + [(box.end, -1) for box in self.boxes])
        busy, last, total = 0, 0.0, 0.0
        for at, step in edges:
            total += at - last if busy > 1 else 0.0
            busy, last = busy + step, at
        return total


def layout(schedule: Schedule, times: Sequence[StageTime] | None = None) -> Layout:
    """Place the stages.

    Args:
        schedule: its stages in an order in which each comes after what it waits for.
        times: of every stage, milliseconds; None gives each stage one unit, as early as its lane and what it waits for let it.

    Raises:
        InputError: the times are not those of this schedule's stages.
    """
    spans = _units(schedule) if times is None else _measured(schedule, times)
    boxes = tuple(
        Box(number, placed.stage, placed.graph, placed.lane, tuple(placed.waits), *spans[placed.stage])
        for number, placed in enumerate(schedule.placed, 1)
    )
    return Layout(boxes, schedule.lanes, max((box.end for box in boxes), default=0.0), times is not None)


def ticks(span: float, most: int = 12) -> tuple[float, ...]:
    """Round numbers, 1, 2 or 5 times a power of ten apart, from 0 to ``span``: two or more, at most ``most`` + 1 of them.

    Args:
        span: where the last one is, or before; 0 has but one.
        most: at least 3.
    """
    if span <= 0:
        return (0.0,)
    power = 10.0 ** floor(log10(span / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) <= most)
    return tuple(step * count for count in range(floor(span / step + 1e-9) + 1))


def apart(centres: Sequence[float], widths: Sequence[float], right: float) -> list[float]:
    """Where labels of these widths stand so that none covers another and none ends beyond ``right``: as near to the right of
    their wanted centres, which ascend, as that allows."""
    spots = list(centres)
    for i in range(1, len(spots)):
        spots[i] = max(spots[i], spots[i - 1] + (widths[i - 1] + widths[i]) / 2)
    for i in reversed(range(len(spots))):
        spots[i] = min(spots[i], right - widths[i] / 2)
        right = spots[i] - widths[i] / 2
    return spots


def _units(schedule: Schedule) -> dict[str, tuple[float, float]]:
    ends: dict[str, float] = {}
    free = [0.0] * schedule.lanes
    for placed in schedule.placed:
        begin = max([free[placed.lane], *(ends[name] for name in placed.waits)])
        ends[placed.stage] = free[placed.lane] = begin + 1
    return {name: (end - 1, end) for name, end in ends.items()}


def _measured(schedule: Schedule, times: Sequence[StageTime]) -> dict[str, tuple[float, float]]:
    lanes = {placed.stage: placed.lane for placed in schedule.placed}
    found = {time.stage: time for time in times}
    wrong = sorted(set(lanes) ^ set(found))
    if wrong or len(found) != len(times):
        what = f"differ: {', '.join(wrong)}" if wrong else "are there twice"
        raise InputError(
            f"the timeline is not of this schedule: stages {what}", "record it with this bundle: Pipeline.timeline()"
        )
    for name, time in found.items():
        if time.lane != lanes[name]:
            raise InputError(
                f"the timeline is not of this schedule: {name} ran on lane {time.lane}, its place is lane {lanes[name]}"
            )
        if not 0 <= time.start_ms <= time.end_ms < float("inf"):
            raise InputError(
                f"the timeline has {name} from {time.start_ms} to {time.end_ms} ms, which is no span of time"
            )
    return {name: (time.start_ms, time.end_ms) for name, time in found.items()}
