"""What the progress bar of `vsrt export` says: the step, and within a long one how far it is and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videoscene_rt.cli.console import Step

STEPS = 100.0
"""What the bar counts to."""


class ExportProgress:
    """Turns what the export tells into a bar that only moves forward.

    Args:
        step: the bar's.
        clock: seconds; for tests.
    """

    def __init__(self, step: Step, clock: Callable[[], float] = time.monotonic) -> None:
        self._step, self._clock = step, clock
        self._at = 0.0
        self._done, self._total = 0, 1
        self._what, self._since, self._from = "", 0.0, 0

    def step(self, what: str, done: int, total: int) -> None:
        """Told by the export: what is done now, steps done, steps in all."""
        self._done, self._total = done, total
        self._move(done / total, what)

    def part(self, what: str, done: int, total: int, unit: str) -> None:
        """Told by the export within a step: what, done, in all, "bytes" or "pieces"."""
        now = self._clock()
        if what != self._what:
            self._what, self._since, self._from = what, now, done
        share = done / total if total else 1.0
        half = (0.5 + share / 2) if unit == "pieces" else share / 2  # a graph is written first and then run
        self._move((self._done + half) / self._total, f"{what}: {self._words(done, total, unit, now)}")

    def _words(self, done: int, total: int, unit: str, now: float) -> str:
        from videoscene_rt.cli import console

        if unit != "bytes":
            return f"{done} of {total} {unit}"
        words = f"{console.size(done)} of {console.size(total)}"
        taken = now - self._since
        return words if taken < 0.5 else f"{words}, {console.size(int((done - self._from) / taken))}/s"

    def _move(self, share: float, detail: str) -> None:
        to = max(self._at, min(share, 1.0))
        self._step((to - self._at) * STEPS, detail)
        self._at = to
