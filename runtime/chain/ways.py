"""The ways through a chain, scheduled: the whole step, and those that are put onto the device in parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from videoscene_rt.chain.description import ChainPlan
from videoscene_rt.chain.schedule import Schedule, apart, schedule


@dataclass(frozen=True)
class Parted:
    """The schedules of a way's parts: each begins when the one before has ended on every lane."""

    parts: tuple[Schedule, ...]

    @cached_property
    def before(self) -> dict[str, frozenset[str]]:
        """Everything that is ordered before each stage."""
        before: dict[str, frozenset[str]] = {}
        for part in self.parts:
            done = frozenset(before)
            before |= {stage: done | earlier for stage, earlier in part.before.items()}
        return before


@dataclass(frozen=True)
class Ways:
    """Every way through a chain. No two ways run at the same time, so what is shared must be apart within each of them."""

    step: Schedule
    others: dict[str, Parted]

    @classmethod
    def of(cls, plan: ChainPlan) -> Ways:
        """Schedule every way of a plan."""
        others = {way.name: Parted(tuple(schedule(plan.alone(part)) for part in way.parts)) for way in plan.ways}
        return cls(schedule(plan), others)

    @property
    def lanes(self) -> int:
        """How many streams they take."""
        return max(each.lanes for each in (self.step, *(part for way in self.others.values() for part in way.parts)))

    def apart(self, some: Iterable[str], others: Iterable[str]) -> bool:
        """Whether in every way some stages are done before any of the others begins, or the other way round."""
        one, two = frozenset(some), frozenset(others)
        orders = (self.step.before, *(way.before for way in self.others.values()))
        return all(apart(before, one & before.keys(), two & before.keys()) for before in orders)
