"""The machine watched over a run: a sampler, the counters before and after, and what they say together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
        expected: there is a GPU, so that `silence` says what is not known of it.
    """

    def __init__(self, tool: Tool | None, counter: EnergyCounter | None, expected: bool = False) -> None:
        self._sampler = Sampler(tool)
        self._expected = expected
        self._ours: tuple[int, int | None] | None = None
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

    @contextmanager
    def ours(self) -> Iterator[None]:
        """``with watch.ours():`` what is measured has the device for itself; `peak_bytes` is of this part."""
        begin = time.monotonic_ns()
        self._ours = (begin, None)
        try:
            yield
        finally:
            self._ours = (begin, time.monotonic_ns())

    def peak_bytes(self) -> int | None:
        """The most device memory in use during `ours`, over what was in use before it; None where nobody says."""
        if self._ours is None:
            return None
        begin, end = self._ours
        last = float("inf") if end is None else (end - begin) / 1e9
        known = [(at.at_s, at.memory_mib) for at in self._sampler.moments(begin) if at.memory_mib is not None]
        before = [mib for at_s, mib in known if at_s < 0]
        during = [mib for at_s, mib in known if 0 <= at_s <= last]
        return max(0, int((max(during) - before[-1]) * 2**20)) if before and during else None

    def silence(self) -> list[str]:
        """What a GPU's record lacks, and why, in words."""
        if not self._expected:
            return []
        tool, told = self._sampler.tool, []
        if tool is None:
            told.append("the machine was not sampled: there is neither nvidia-smi nor tegrastats")
        elif not self._sampler.moments(self._begin):
            said = self._sampler.nonsense
            told.append(f"the machine was not sampled: {tool.name} " + (f"said {said!r}" if said else "said nothing"))
        if self._steps and self._energy(self._inside(), self._seconds) is None:
            told.append("no energy: neither NVML's counter nor a sample of the power")
        return told

    @property
    def _seconds(self) -> float:
        return (self._end - self._begin) / 1e9

    def _inside(self) -> list[Moment]:
        return [moment for moment in self._sampler.moments(self._begin) if 0 <= moment.at_s <= self._seconds]

    def found(self) -> Beside:
        """What there is to say so far."""
        moments = self._sampler.moments(self._begin)
        inside = self._inside()
        events = new_events(self._alarms, over_current())
        return Beside(
            sampler="" if self._sampler.tool is None or not moments else self._sampler.tool.name,
            moments=thinned(moments, _MOST_MOMENTS),
            throttling={**shares(inside), **dict.fromkeys(events, 1.0)},
            energy=self._energy(inside, self._seconds),
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
