"""Where on the ladder the pipeline stands: the durations of each rung, and the choice of the next step's."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from videoscene_rt.ladder import Ladder

_HUNDRED = 100


def p99_of(values: Sequence[float]) -> float | None:
    """The 99th percentile: of n values the ⌈0.99·n⌉-th smallest, so of fewer than 100 the largest; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[-(-99 * len(ordered) // _HUNDRED) - 1]


@dataclass
class _Rung:
    durations: deque[float]
    last_run: int = 0


@dataclass
class LadderClimb:
    """The hysteresis of one pipeline's steps with deadlines. Not for several threads at once.

    Args:
        ladder: the data.
        has: the rungs that the pipeline has.

    Attributes:
        rungs: those of the ladder that the pipeline has, best first.
        at: the rung in use, an index of `rungs`.
        downs, ups: how often it went down and up.
    """

    ladder: Ladder
    has: Sequence[str]
    at: int = 0
    downs: int = 0
    ups: int = 0
    _steps: int = 0
    _against: int = 0
    _fitting: int = 0
    _of: dict[str, _Rung] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rungs = tuple(rung for rung in self.ladder.rungs if rung in self.has)
        self._of = {rung: _Rung(deque(maxlen=self.ladder.window)) for rung in self.rungs}

    def p99(self, rung: str) -> float | None:
        """Milliseconds of a rung from launch to end; None where it is not measured."""
        return p99_of(self._of[rung].durations)

    def choose(self, left_ms: float, busy: bool) -> str:
        """The rung of the next step.

        Args:
            left_ms: until its deadline.
            busy: an earlier step still runs: then only rendering is possible in time, and nothing is learnt from that.
        """
        self._steps += 1
        self._forget()
        if busy:
            return self.rungs[-1]
        best = self._best(left_ms, self.ladder.down_margin)
        self._against = self._against + 1 if best > self.at else 0
        up = self.at > 0 and self._best(left_ms, self.ladder.up_margin) < self.at
        self._fitting = self._fitting + 1 if up else 0
        if self._against >= self.ladder.down_after:
            self._move(best)
        elif self._fitting >= self.ladder.up_after:
            self._move(self.at - 1)
        return self.rungs[self.at]

    def observe(self, rung: str, duration_ms: float) -> None:
        """A step on a rung took so long, or has taken so long already."""
        found = self._of[rung]
        found.durations.append(duration_ms)
        found.last_run = self._steps

    def correct(self, rung: str, duration_ms: float) -> None:
        """A late step has ended: its duration takes the place of what it had taken at its deadline."""
        found = self._of[rung]
        if found.durations:
            found.durations.pop()
        self.observe(rung, duration_ms)

    def _best(self, left_ms: float, margin: float) -> int:
        for index, rung in enumerate(self.rungs):
            if (self.p99(rung) or 0.0) * margin <= left_ms:
                return index
        return len(self.rungs) - 1

    def _move(self, to: int) -> None:
        self.downs += to > self.at
        self.ups += to < self.at
        self.at, self._against, self._fitting = to, 0, 0

    def _forget(self) -> None:
        for found in self._of.values():
            if found.durations and self._steps - found.last_run > self.ladder.forget_after:
                found.durations.clear()
