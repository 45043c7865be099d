"""What became of a pipeline's steps, in numbers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from videoscene_rt.ladder_climb import LadderClimb


@dataclass(frozen=True)
class Counters:
    """Since the pipeline was loaded; reloading does not begin anew.

    Attributes:
        ok, degraded, late, invalid: results by their status.
        failed: calls of `Pipeline.step` whose step ended in an error; a submitted one's is its handle's to say.
        dropped: refinements that ended after their deadline; nobody was given their frames.
        busy: steps that were rendered only since an earlier one still ran.
        rungs: how many steps began on each rung; those without a deadline are on the pipeline's own decoder's.
        downs, ups: moves on the ladder.
        rung: where it stands; None without a ladder.
        p99_ms: of each rung that is measured, from launch to end, in milliseconds.
        hangs: steps that the watchdog reported.
        reloads: bundles that were swapped in.
    """

    ok: int
    degraded: int
    late: int
    invalid: int
    failed: int
    dropped: int
    busy: int
    rungs: Mapping[str, int]
    downs: int
    ups: int
    rung: str | None
    p99_ms: Mapping[str, float]
    hangs: int
    reloads: int


class Tally:
    """Counts by name, from several threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, name: str) -> None:
        """One more."""
        with self._lock:
            self._counts[name] += 1

    def of(self, name: str) -> int:
        """How many."""
        with self._lock:
            return self._counts[name]

    def under(self, prefix: str) -> dict[str, int]:
        """Every count whose name begins so, by the rest of its name."""
        with self._lock:
            return {name[len(prefix) :]: count for name, count in self._counts.items() if name.startswith(prefix)}


_NAMES = ("ok", "degraded", "late", "invalid", "failed", "dropped", "busy", "reloads")


def counted(tally: Tally, climb: LadderClimb | None, hangs: int) -> Counters:
    """The counters of a pipeline: its tally, where it stands on its ladder (None without one), and what its watchdog reported."""
    p99 = {} if climb is None else {rung: climb.p99(rung) for rung in climb.rungs}
    return Counters(
        **{name: tally.of(name) for name in _NAMES},
        rungs=tally.under("rung "),
        downs=0 if climb is None else climb.downs,
        ups=0 if climb is None else climb.ups,
        rung=None if climb is None else climb.rungs[climb.at],
        p99_ms={rung: value for rung, value in p99.items() if value is not None},
        hangs=hangs,
    )
