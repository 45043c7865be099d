"""The loop of a soak: a turn of steps, a look, a turn of steps, a look.

Inputs arrive on one grid of periods from the first to the last. Those that come while it looks are counted as paused: nobody could
take them, and that is not the step's fault.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from videoscene_rt.bench.closed_loop import Clock, LoopSettings, closed_loop
from videoscene_rt.bench.fixed_rate import fixed_rate
from videoscene_rt.bench.soak.facts import Look, SoakSettings
from videoscene_rt.bench.soak.log import Log
from videoscene_rt.bench.soak.memory import open_files, resident_bytes, threads

_LEAST_STEPS = 1


@dataclass(frozen=True)
class Subject:
    """What is soaked.

    Attributes:
        step: makes one step.
        by: makes one by a deadline, told the seconds that are left; None where steps take their time.
        outputs: makes steps of the unchanged input, one in each slot, and gives the digests of each one's results.
        device_free: free bytes of the device; None where it does not say.
    """

    step: Callable[[], object]
    by: Callable[[float], object] | None
    outputs: Callable[[], list[dict[str, str]]]
    device_free: Callable[[], int | None]


def run_soak(
    subject: Subject,
    settings: SoakSettings,
    log: Log,
    on_look: Callable[[], object] = lambda: None,
    clock: Clock = time.perf_counter_ns,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Run until the time is over; Python's garbage collector rests during a turn, and is called before each look.

    Args:
        subject: what. settings: for how long, and how.
        log: takes in what is seen.
        on_look: called after each look.
        clock, sleep: see `fixed_rate`.

    Raises:
        BackendError: a step failed, or the clock ran backwards.
    """
    begin, next_arrival = clock(), 0

    def since() -> float:
        return (clock() - begin) / 1e9

    def look() -> None:
        for digests in subject.outputs():
            log.compare(digests)
        log.look(look_now(since(), log.steps, subject.device_free))
        on_look()

    look()
    while (left := settings.seconds - log.seconds) > 0:
        turn_s = min(settings.every_s, left)
        if settings.rate_hz is None:
            _closed_turn(subject, turn_s, log, since(), clock)
        else:
            next_arrival = _rate_turn(subject, settings, turn_s, log, next_arrival, since, clock, sleep)
        look()


def look_now(at_s: float, steps: int, device_free: Callable[[], int | None]) -> Look:
    """What the process holds now, after its garbage was collected."""
    gc.collect()
    return Look(
        at_s=at_s,
        steps=steps,
        resident_bytes=resident_bytes(),
        python_blocks=sys.getallocatedblocks(),
        device_free_bytes=device_free(),
        threads=threads(),
        open_files=open_files(),
    )


def _closed_turn(subject: Subject, turn_s: float, log: Log, at_s: float, clock: Clock) -> None:
    whole = LoopSettings(warmup_iterations=0, warmup_s=0, iterations=_LEAST_STEPS, seconds=turn_s)
    log.turn(at_s, closed_loop(subject.step, lambda: None, whole, clock=clock).host, None)


def _rate_turn(
    subject: Subject,
    settings: SoakSettings,
    turn_s: float,
    log: Log,
    expected: int,
    since: Callable[[], float],
    clock: Clock,
    sleep: Callable[[float], object],
) -> int:
    """A turn at the rate, which begins with the next arrival of the grid; gives the arrival that comes after it."""
    rate = settings.rate_hz or 0.0
    first = max(expected, -int(-since() * rate // 1))
    sleep(max(0.0, first / rate - since()))
    begin_s = since()
    arrivals = max(1, int(turn_s * rate))
    run = fixed_rate(subject.step, rate, arrivals, settings.deadline_ms, clock, sleep, by=subject.by)
    log.turn(begin_s, run.step, run.age, run.dropped, run.missed)
    log.arrivals += run.arrivals
    log.paused += first - expected
    log.overhead_us = run.overhead_us
    return first + arrivals
