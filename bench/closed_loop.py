"""The closed loop: the next iteration starts when the one before is done. Warm-up, samples, settle test, own overhead."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.engines.errors import BackendError

Samples = npt.NDArray[np.float64]
Clock = Callable[[], int]
_OVERHEAD_ITERATIONS = 256


class LoopSettings(BaseModel):
    """How long the loop runs: warm-up until both its limits are met, then until both the others are.

    ``limit_s`` ends the measuring early, with what there is (at least one sample); the record then says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    warmup_iterations: int = Field(default=10, ge=0)
    warmup_s: float = Field(default=0.2, ge=0)
    iterations: int = Field(default=64, ge=1)
    seconds: float = Field(default=3.0, ge=0)
    limit_s: float | None = Field(default=None, gt=0)
    settle_limit: float = Field(default=0.05, gt=0, description="largest drift of a settled run")


class Timer(Protocol):
    """A device's own clock around one iteration (CUDA events)."""

    def start(self) -> None:
        """Mark the beginning on the stream; does not wait."""

    def stop(self) -> None:
        """Mark the end on the stream; does not wait."""

    def elapsed_ms(self) -> float:
        """Milliseconds between the marks; called after the device is done with both."""


@dataclass(frozen=True)
class Loop:
    """What a closed loop saw; milliseconds, one value an iteration, in order.

    Attributes:
        host: from before the call to after the wait, on the host's clock.
        enqueue: the call alone: what the host is busy with.
        device: on the device's clock, if there was one.
        drift: median of the last quarter over the median of the first, minus 1; None under 8 samples.
        settled: the drift is within the settings' limit. A run too short to tell is not settled.
        overhead_us: microseconds that the harness itself takes for one iteration, measured with nothing to run.
        stopped_early: the time limit came before the samples asked for.
    """

    host: Samples
    enqueue: Samples
    device: Samples | None
    drift: float | None
    settled: bool
    overhead_us: float
    stopped_early: bool


def closed_loop(
    run: Callable[[], object],
    synchronize: Callable[[], object],
    settings: LoopSettings,
    timer: Timer | None = None,
    clock: Clock = time.perf_counter_ns,
) -> Loop:
    """Run something again and again and time each iteration. Python's garbage collector rests meanwhile.

    Args:
        run: starts the work; it may return before the work is done.
        synchronize: waits until it is done.
        settings: how long.
        timer: the device's clock, if it has one.
        clock: nanoseconds of the host's monotonic clock.

    Raises:
        BackendError: the clock ran backwards.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        overhead = _overhead_us(timer, synchronize, clock)
        _warm_up(run, synchronize, settings, clock)
        host, enqueue, device, early = _measure(run, synchronize, settings, timer, clock)
    finally:
        if collecting:
            gc.enable()
    if (host < 0).any() or (enqueue < 0).any():
        raise BackendError("the clock ran backwards while it was measured", "measure again, on a machine left alone")
    drift = drift_of(host)
    return Loop(
        host=host,
        enqueue=enqueue,
        device=device,
        drift=drift,
        settled=drift is not None and abs(drift) <= settings.settle_limit,
        overhead_us=overhead,
        stopped_early=early,
    )


def drift_of(samples: Samples) -> float | None:
    """Median of the last quarter over the median of the first, minus 1; None under 8 samples or where the first is zero."""
    quarter = samples.size // 4
    if quarter < 2:
        return None
    first, last = float(np.median(samples[:quarter])), float(np.median(samples[-quarter:]))
    return last / first - 1 if first > 0 else None


def _warm_up(
    run: Callable[[], object], synchronize: Callable[[], object], settings: LoopSettings, clock: Clock
) -> None:
    end, done = clock() + int(settings.warmup_s * 1e9), 0
    while done < settings.warmup_iterations or clock() < end:
        run()
        synchronize()
        done += 1


def _measure(
    run: Callable[[], object],
    synchronize: Callable[[], object],
    settings: LoopSettings,
    timer: Timer | None,
    clock: Clock,
) -> tuple[Samples, Samples, Samples | None, bool]:
    host: list[int] = []
    enqueue: list[int] = []
    device: list[float] = []
    begin = clock()
    end = begin + int(settings.seconds * 1e9)
    limit = None if settings.limit_s is None else begin + int(settings.limit_s * 1e9)
    early = False
    while len(host) < settings.iterations or clock() < end:
        start = clock()
        if timer is not None:
            timer.start()
        run()
        if timer is not None:
            timer.stop()
        called = clock()
        synchronize()
        done = clock()
        host.append(done - start)
        enqueue.append(called - start)
        if timer is not None:
            device.append(timer.elapsed_ms())
        if limit is not None and done >= limit:
            early = len(host) < settings.iterations or done < end
            break
    return _ms(host), _ms(enqueue), np.asarray(device) if timer is not None else None, early


def _overhead_us(timer: Timer | None, synchronize: Callable[[], object], clock: Clock) -> float:
    """The whole loop over nothing to do, by iteration: marks, waiting for an idle device, clock readings, bookkeeping."""
    synchronize()
    settings = LoopSettings(iterations=_OVERHEAD_ITERATIONS, seconds=0)
    begin = clock()
    _measure(lambda: None, synchronize, settings, timer, clock)
    return (clock() - begin) / _OVERHEAD_ITERATIONS / 1e3


def _ms(nanoseconds: list[int]) -> Samples:
    return np.asarray(nanoseconds, np.float64) / 1e6
