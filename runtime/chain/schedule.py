"""Which stream each stage runs on and what it waits for: derived from which buffers the stages read and write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from videoscene_rt.chain.description import ChainPlan, Slice, Stage

LANES = 2
"""The video's, and one for both images. A third made a step of `edge` 1 % slower on an H100, which two fill already, and its launch
8 µs dearer (bench/results/h100-chain)."""


@dataclass(frozen=True)
class Placed:
    """A stage in the schedule.

    Attributes:
        stage, graph: its names.
        lane: its stream; 0 is the main one.
        waits: stages on other lanes that must be done before; what is ordered already is not waited for again.
    """

    stage: str
    graph: str
    lane: int
    waits: tuple[str, ...]


@dataclass(frozen=True)
class Schedule:
    """Every stage in the order in which it is put onto its stream.

    Every other lane begins when lane 0 does, and lane 0 ends when every lane has.
    """

    placed: tuple[Placed, ...]

    @property
    def lanes(self) -> int:
        """How many streams it takes."""
        return 1 + max((placed.lane for placed in self.placed), default=0)

    def overlaps(self, a: str, b: str) -> bool:
        """Whether nothing orders the stages a and b, so that they may run at the same time."""
        return a != b and a not in self.before[b] and b not in self.before[a]

    def apart(self, some: Iterable[str], others: Iterable[str]) -> bool:
        """Whether every one of some stages is done before any of the others begins, or the other way round."""
        return apart(self.before, some, others)

    @cached_property
    def tails(self) -> tuple[str, ...]:
        """The last stages of the other lanes that no stage of lane 0 waits for: it waits for them at its end."""
        last = {placed.lane: placed.stage for placed in self.placed if placed.lane}
        joined = {wait for placed in self.placed if placed.lane == 0 for wait in placed.waits}
        return tuple(stage for stage in last.values() if stage not in joined)

    @cached_property
    def before(self) -> dict[str, frozenset[str]]:
        """Everything that is ordered before each stage."""
        before: dict[str, frozenset[str]] = {}
        last: dict[int, str] = {}
        for placed in self.placed:
            direct = [*placed.waits, *([last[placed.lane]] if placed.lane in last else [])]
            before[placed.stage] = frozenset(direct).union(*(before[stage] for stage in direct))
            last[placed.lane] = placed.stage
        return before


def apart(before: Mapping[str, frozenset[str]], some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether an order puts every one of some stages before each of the others, or the other way round."""
    one, two = frozenset(some), frozenset(others)
    return all(one <= before[stage] for stage in two) or all(two <= before[stage] for stage in one)


def schedule(plan: ChainPlan, lanes: int = LANES) -> Schedule:
    """Place every stage of a plan.

    Lane 0 takes the longest chain of stages that depend on one another; the others take the rest, one lane a chain, as far as there
    are lanes.

    Args:
        plan: its stages are in an order that respects every dependency.
        lanes: at most so many streams, at least 1.
    """
    needs = dependencies(plan)
    lane_of = _lanes(plan.stages, needs, lanes)
    placed: list[Placed] = []
    before: dict[str, set[str]] = {}
    last: dict[int, str] = {}
    for stage in plan.stages:
        lane = lane_of[stage.name]
        done = set() if lane not in last else {last[lane], *before[last[lane]]}
        waits = []
        # The latest first: what comes before it on its lane is then done as well.
        for need in reversed([other.name for other in plan.stages if other.name in needs[stage.name]]):
            if need not in done:
                waits.append(need)
                done |= {need, *before[need]}
        before[stage.name] = done
        last[lane] = stage.name
        placed.append(Placed(stage.name, stage.graph, lane, tuple(reversed(waits))))
    return Schedule(tuple(placed))


def dependencies(plan: ChainPlan) -> dict[str, frozenset[str]]:
    """The stages that must run before each: they write what it reads or writes, or read what it writes."""
    needs = {}
    for index, stage in enumerate(plan.stages):
        needs[stage.name] = frozenset(other.name for other in plan.stages[:index] if _conflict(other, stage))
    return needs


def _conflict(first: Stage, then: Stage) -> bool:
    return _meet(first.outputs, then.inputs) or _meet(first.outputs, then.outputs) or _meet(first.inputs, then.outputs)


def _meet(some: dict[str, Slice], others: dict[str, Slice]) -> bool:
    return any(a.meets(b) for a in some.values() for b in others.values())


def _lanes(stages: tuple[Stage, ...], needs: dict[str, frozenset[str]], lanes: int) -> dict[str, int]:
    """Lane 0 is the longest chain; of the rest, a stage follows what it depends on."""
    length: dict[str, int] = {}
    for stage in stages:
        length[stage.name] = 1 + max((length[need] for need in needs[stage.name]), default=0)
    main = set()
    at: str | None = max((stage.name for stage in stages), key=lambda name: length[name])
    while at is not None:
        main.add(at)
        # In the plan's order, so that a tie is always broken in the same way.
        at = max((s.name for s in stages if s.name in needs[at]), key=lambda need: length[need], default=None)
    lane_of = {stage.name: 0 for stage in stages if stage.name in main or lanes == 1}
    tail: dict[int, str] = {}
    for stage in stages:
        if stage.name in lane_of:
            continue
        follows = next((lane for lane, end in tail.items() if end in needs[stage.name]), None)
        fresh = len(tail) + 1
        lane = follows or (fresh if fresh < lanes else min(tail))
        lane_of[stage.name] = lane
        tail[lane] = stage.name
    return lane_of
