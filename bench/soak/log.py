"""What a soak has seen so far, in columns of numbers: a day of it takes megabytes, and no Python object for each step or look."""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.bench.closed_loop import Samples
from videoscene_rt.bench.percentiles import LEAST_SAMPLES, percentile
from videoscene_rt.bench.soak.facts import Look, Minute, Output

_NONE = -1
_MINUTE_S = 60.0


class Log:
    """Grows by one turn of steps, then one look, and so on.

    Attributes:
        seconds: since the soak began, at the last look.
        dropped, missed, arrivals: inputs at the rate, in all.
        paused: inputs that came while it was looking.
        overhead_us: what the loop takes for one of them, the latest turn's.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.arrivals = self.dropped = self.missed = self.paused = 0
        self.overhead_us = 0.0
        self._step, self._age = array("d"), array("d")
        self._turns = array("d")  # begin_s, first step, dropped, missed
        self._looks = array("d")  # the fields of Look
        self._first: dict[str, str] = {}
        self._compared = self._unequal = 0
        self._first_unequal = ""

    @property
    def steps(self) -> int:
        """How many were timed."""
        return len(self._step)

    def turn(self, begin_s: float, step: Samples, age: Samples | None, dropped: int = 0, missed: int = 0) -> None:
        """Take in the steps of one turn: milliseconds of the calls, and at a rate from arrival to result."""
        self._turns.extend((begin_s, self.steps, dropped, missed))
        self._step.frombytes(np.asarray(step, np.float64).tobytes())
        if age is not None:
            self._age.frombytes(np.asarray(age, np.float64).tobytes())
        self.dropped += dropped
        self.missed += missed

    def look(self, look: Look) -> None:
        """Take in what the process holds."""
        self.seconds = look.at_s
        self._looks.extend(_NONE if value is None else value for value in look.model_dump().values())

    def compare(self, digests: dict[str, str]) -> None:
        """Compare an output with the first one."""
        if not self._first:
            self._first = digests
            return
        self._compared += 1
        if digests != self._first:
            self._unequal += 1
            names = ", ".join(name for name in self._first if digests.get(name) != self._first[name])
            self._first_unequal = self._first_unequal or f"{names} after {self.steps:,} steps"

    @property
    def output(self) -> Output:
        """What the comparisons gave."""
        return Output(
            digests=self._first,
            compared=self._compared,
            unequal=self._unequal,
            first_unequal=self._first_unequal,
        )

    @property
    def looks(self) -> tuple[Look, ...]:
        """Every look."""
        names = list(Look.model_fields)
        rows = self._table(self._looks, len(names)).tolist()
        return tuple(Look(**{name: _read(name, value) for name, value in zip(names, row, strict=True)}) for row in rows)

    def of_looks(self, name: str, after_s: float) -> Samples | None:
        """One field of the looks after a time; None where the system does not say."""
        names = list(Look.model_fields)
        table = self._table(self._looks, len(names))
        found = table[table[:, 0] >= after_s, names.index(name)]
        return None if (found == _NONE).any() else found

    def step_ms(self, after_s: float = 0.0) -> Samples:
        """The steps of the turns that began after a time."""
        return np.array(self._step)[self._first_after(after_s) :]

    def age_ms(self, after_s: float = 0.0) -> Samples:
        """From arrival to result, of the same; empty in a closed loop."""
        return np.array(self._age)[self._first_after(after_s) :]

    @property
    def minutes(self) -> tuple[Minute, ...]:
        """The turns, put together by the minute in which they began."""
        turns = self._table(self._turns, 4)
        if not len(turns):
            return ()
        steps, ages = np.array(self._step), np.array(self._age)
        edges = [0, *(np.flatnonzero(np.diff(turns[:, 0] // _MINUTE_S)) + 1).tolist(), len(turns)]
        found = []
        for first, stop in pairwise(edges):
            rows = turns[first:stop]
            begin, end = int(rows[0, 1]), int(turns[stop, 1]) if stop < len(turns) else self.steps
            if end > begin:
                found.append(_minute(rows, steps[begin:end], ages[begin:end]))
        return tuple(found)

    def _first_after(self, after_s: float) -> int:
        turns = self._table(self._turns, 4)
        later = turns[turns[:, 0] >= after_s, 1]
        return int(later[0]) if later.size else self.steps

    @staticmethod
    def _table(column: array[float], width: int) -> npt.NDArray[np.float64]:
        return np.array(column, np.float64).reshape(-1, width)


def _minute(rows: npt.NDArray[np.float64], steps: Samples, ages: Samples) -> Minute:
    ordered = np.sort(steps)
    p90, p99 = (
        round(percentile(ordered, share), 4) if ordered.size >= LEAST_SAMPLES[share] else None for share in (900, 990)
    )
    return Minute(
        begin_s=round(float(rows[0, 0]), 3),
        steps=ordered.size,
        p50_ms=round(percentile(ordered, 500), 4),
        p90_ms=p90,
        p99_ms=p99,
        max_ms=round(float(ordered[-1]), 4),
        age_max_ms=round(float(ages.max()), 4) if ages.size else None,
        dropped=int(rows[:, 2].sum()),
        missed=int(rows[:, 3].sum()),
    )


def _read(name: str, value: float) -> Any:
    if name == "at_s":
        return round(value, 3)
    return None if value == _NONE else int(value)
