"""The machine watched over a run: a sampler, the counters before and after, and what they say together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import TracebackType
from typing import TypeVar

from videoscene_rt.bench.beside.facts import Beside, Energy, Moment
from videoscene_rt.bench.beside.host_load import host_load
from videoscene_rt.bench.beside.jetson import clocks_locked, power_mode
from videoscene_rt.bench.beside.nvml import EnergyCounter
from videoscene_rt.bench.beside.sampler import Sampler, Tool
from videoscene_rt.bench.beside.tegrastats import measured_rails
from videoscene_rt.bench.beside.throttling import new_events, over_current

T = TypeVar("T")
_MOST_MOMENTS = 400
_GPU = "the GPU"


class Watch:
    """``with Watch(tool) as watch:`` samples the machine; inside, `measuring` marks the part whose energy and throttling count.

    Args:
        tool: what to ask; None on a machine that has nothing to ask.
        counter: of energy; None without a GPU.
    """

    def __init__(self, tool: Tool | None, counter: EnergyCounter | None) -> None:
        self._sampler = Sampler(tool)
        self._counter = counter if counter is not None and counter.works else None
        self._begin = self._end = time.monotonic_ns()
        self._joules: float | None = None
        self._steps = 0

    def measuring(self, work: Callable[[], T], steps: Callable[[], int]) -> T:
        """Run the part that counts, and give what it returns.

        Args:
            work: the part.
            steps: how many steps it made, asked afterwards.
        """
        before = None if self._counter is None else self._counter.joules()
        self._begin = time.monotonic_ns()
        result = work()
        self._end = time.monotonic_ns()
        after = None if self._counter is None else self._counter.joules()
        self._joules = None if before is None or after is None else after - before
        self._steps = steps()
        return result

    def found(self) -> Beside:
        """What there is to say; after the block."""
        moments = self._sampler.moments(self._begin)
        seconds = (self._end - self._begin) / 1e9
        inside = [moment for moment in moments if 0 <= moment.at_s <= seconds]
        events = new_events(self._alarms, over_current())
        return Beside(
            sampler="" if self._sampler.tool is None or not moments else self._sampler.tool.name,
            moments=thinned(moments, _MOST_MOMENTS),
            throttling={**shares(inside), **dict.fromkeys(events, 1.0)},
            energy=self._energy(inside, seconds),
            power_mode=power_mode(),
            clocks_locked=clocks_locked(),
            host_before=self._host,
            host_after=host_load(),
        )

    def _energy(self, inside: Sequence[Moment], seconds: float) -> Energy | None:
        if self._steps < 1 or seconds <= 0:
            return None
        if self._joules is not None and self._joules > 0:
            return Energy(joules=self._joules, seconds=seconds, steps=self._steps, source="NVML's counter", of=_GPU)
        watts = mean_power(inside, seconds)
        if watts is None:
            return None
        rails = next((moment.rails_w for moment in inside if moment.rails_w), None)
        return Energy(
            joules=watts * seconds,
            seconds=seconds,
            steps=self._steps,
            source=f"power, sampled {len(inside)} times",
            of=_GPU if rails is None else measured_rails(rails),
        )

    def __enter__(self) -> Watch:
        self._host = host_load()
        self._alarms = over_current()
        self._sampler.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sampler.__exit__(kind, error, trace)


def shares(moments: Sequence[Moment]) -> dict[str, float]:
    """By reason, the share of the moments in which it throttled."""
    reasons = dict.fromkeys(reason for moment in moments for reason in moment.throttling)
    return {reason: sum(reason in moment.throttling for moment in moments) / len(moments) for reason in reasons}


def mean_power(moments: Sequence[Moment], seconds: float) -> float | None:
    """Watts over the time from 0 to ``seconds``: between two samples a straight line, before the first and after the last level."""
    known = [(moment.at_s, moment.power_w) for moment in moments if moment.power_w is not None]
    if not known or seconds <= 0:
        return None
    points = [(0.0, known[0][1]), *known, (seconds, known[-1][1])]
    area = sum((b - a) * (p + q) / 2 for (a, p), (b, q) in pairwise(points))
    return area / seconds


def thinned(moments: Sequence[Moment], most: int) -> tuple[Moment, ...]:
    """At most so many of them, evenly spread, with the first and the last."""
    if len(moments) <= most:
        return tuple(moments)
    return tuple(moments[round(number * (len(moments) - 1) / (most - 1))] for number in range(most))
