"""How long a stage runs: until its time is used, or for a number of steps; and when it must pause."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


class Paused(Exception):  # noqa: N818 - not an error: the state is saved and the run goes on when it is called again
    """The time of this call is over."""


@dataclass
class Pace:
    """Counts a stage's steps and seconds; both outlive the process in the run's state.

    Attributes:
        seconds: the stage's time.
        planned: its steps instead, if they are given.
        step: steps done.
        spent: seconds used.
    """

    seconds: float
    planned: int | None = None
    step: int = 0
    spent: float = 0.0
    _since: float = field(default=0.0, repr=False)

    def steps(self, deadline: float = math.inf) -> Iterator[float]:
        """Yield the progress 0…1 once for each step to do; the step counts as done when the next one is asked for.

        Args:
            deadline: of `time.monotonic`; past it the stage pauses.

        Raises:
            Paused: the deadline is over, the stage is not. Everything that was yielded is counted.
        """
        self._since = time.monotonic()
        while not self.over():
            if time.monotonic() > deadline:
                raise Paused
            yield self.progress()
            self.step += 1
            now = time.monotonic()
            self.spent, self._since = self.spent + now - self._since, now

    def progress(self) -> float:
        """How much of the stage is done, 0…1."""
        if self.planned is not None:
            return min(1.0, self.step / max(1, self.planned))
        return min(1.0, self.spent / max(1e-9, self.seconds))

    def over(self) -> bool:
        """Whether the stage is done."""
        return self.progress() >= 1.0


def learning_rate(highest: float, progress: float, warm_up: float = 0.03) -> float:
    """A cosine from the highest rate to a hundredth of it, after a linear rise."""
    if progress < warm_up:
        return highest * (0.05 + 0.95 * progress / warm_up)
    return highest * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * (progress - warm_up) / (1.0 - warm_up))))
