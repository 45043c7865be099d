"""A fixed rate: inputs arrive periodically, whether the step is ready or not, and the newest one is taken.

A mailbox of one: an arrival that nobody took when the next one comes is dropped. No thread plays the sensor, since it would run in the
interpreter that is measured: arrivals are times, and the loop knows how many have passed.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np

from videoscene_rt.bench.closed_loop import Clock, Samples
from videoscene_rt.engines.errors import BackendError, InputError

LOWEST_HZ, HIGHEST_HZ = 0.01, 10_000.0
_SPIN_NS = 500_000
_OVERHEAD_STEPS = 256


@dataclass(frozen=True)
class RateRun:
    """What a run at a fixed rate saw; milliseconds, one value a step that was made, in order.

    Attributes:
        rate_hz, deadline_ms: as asked for; the deadline counts from the arrival.
        arrivals, dropped: how many inputs came, and how many of them a newer one replaced before they were taken.
        age: from an input's arrival until its result is there.
        step: the call alone.
        wait: from the arrival until the input is taken; of an idle loop, how late it wakes.
        oldest: how old the newest result had become when the next one replaced it: one value less than the others.
        overhead_us: what the loop itself takes for one arrival, measured with nothing to run.
    """

    rate_hz: float
    deadline_ms: float
    arrivals: int
    dropped: int
    age: Samples
    step: Samples
    wait: Samples
    oldest: Samples
    overhead_us: float

    @property
    def missed(self) -> int:
        """Results that came after their deadline."""
        return int((self.age > self.deadline_ms).sum())


def checked_rate(rate_hz: float) -> float:
    """The rate, if inputs can arrive that often.

    Raises:
        InputError: it is no rate, or one that no clock here can keep.
    """
    if not (isfinite(rate_hz) and LOWEST_HZ <= rate_hz <= HIGHEST_HZ):
        raise InputError(
            f"inputs cannot arrive at {rate_hz:g} Hz", f"give a rate from {LOWEST_HZ:g} to {HIGHEST_HZ:,.0f} Hz"
        )
    return rate_hz


def checked_deadline(deadline_ms: float | None, rate_hz: float) -> float:
    """The deadline in milliseconds, by default one period.

    Raises:
        InputError: it is not above zero, or not finite.
    """
    if deadline_ms is None:
        return 1000 / rate_hz
    if not (isfinite(deadline_ms) and deadline_ms > 0):
        raise InputError(f"a deadline of {deadline_ms:g} ms cannot be met", "give one above 0, in milliseconds")
    return deadline_ms


def fixed_rate(
    run: Callable[[], object],
    rate_hz: float,
    arrivals: int,
    deadline_ms: float | None = None,
    clock: Clock = time.perf_counter_ns,
    sleep: Callable[[float], object] = time.sleep,
    by: Callable[[float], object] | None = None,
) -> RateRun:
    """Run something on the newest of the inputs that arrive at a rate. Python's garbage collector rests meanwhile.

    Args:
        run: makes one step and returns when its result is there.
        rate_hz: arrivals a second.
        arrivals: how many come; the last one is always taken.
        deadline_ms: from the arrival to the result; by default one period.
        clock: nanoseconds of the host's monotonic clock. sleep: seconds.
        by: in place of ``run``: told the seconds that are left until the deadline of the input that it takes, at least 0.

    Raises:
        InputError: the rate or the deadline is none, or nothing arrives.
        BackendError: the clock ran backwards.
    """
    rate_hz = checked_rate(rate_hz)
    deadline_ms = checked_deadline(deadline_ms, rate_hz)
    if arrivals < 1:
        raise InputError("there are zero arrivals: nothing would be measured", "let at least one input arrive")
    period = round(1e9 / rate_hz)
    collecting = gc.isenabled()
    gc.disable()
    try:
        overhead = _overhead_us(clock)
        deadline_s = deadline_ms / 1e3

        def step(waited_ns: int) -> None:
            _ = run() if by is None else by(max(0.0, deadline_s - waited_ns / 1e9))

        took, dropped = _loop(step, period, arrivals, clock, sleep)
    finally:
        if collecting:
            gc.enable()
    times = np.asarray(took, np.float64).reshape(-1, 3) / 1e6  # arrival, taken, done
    arrived, taken, done = times.T
    return RateRun(
        rate_hz=rate_hz,
        deadline_ms=deadline_ms,
        arrivals=arrivals,
        dropped=dropped,
        age=done - arrived,
        step=done - taken,
        wait=taken - arrived,
        oldest=done[1:] - arrived[:-1],
        overhead_us=overhead,
    )


def _loop(
    run: Callable[[int], object],
    period: int,
    arrivals: int,
    clock: Clock,
    sleep: Callable[[float], object],
    most: int | None = None,
) -> tuple[list[tuple[int, int, int]], int]:
    """Arrival, taking and end of each step in nanoseconds since the first arrival, and how many arrivals were dropped.

    ``run`` is told for how many nanoseconds its input has waited.
    It ends when the last arrival was taken, or after ``most`` steps.
    """
    took: list[tuple[int, int, int]] = []
    last, dropped = -1, 0
    begin = before = clock()
    while last < arrivals - 1 and (most is None or len(took) < most):
        now = clock()
        if now < before:
            raise BackendError(
                "the clock ran backwards while it was measured", "measure again, on a machine left alone"
            )
        before = now
        newest = min((now - begin) // period, arrivals - 1)
        if newest <= last:
            left = begin + (last + 1) * period - now
            if left > _SPIN_NS:
                sleep((left - _SPIN_NS) / 1e9)
            continue
        run(now - begin - newest * period)
        took.append((newest * period, now - begin, clock() - begin))
        dropped += newest - last - 1
        last = newest
    return took, dropped


def _overhead_us(clock: Clock) -> float:
    """The loop over inputs that come every nanosecond, so that there is always a newer one, and nothing to do; by step."""
    begin = clock()
    _loop(lambda waited: None, 1, 1 << 62, clock, lambda seconds: None, _OVERHEAD_STEPS)
    return (clock() - begin) / _OVERHEAD_STEPS / 1e3
