"""The loop on a clock that the test turns: what is counted, what is waited for, when it ends."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from videoscene_rt.bench.closed_loop import LoopSettings, closed_loop, drift_of
from videoscene_rt.engines.errors import BackendError

MS = 1_000_000


class Machine:
    """Work of ``cost`` ms (``enqueue`` of them in the call itself) on a clock of its own; the device's clock sees the rest."""

    def __init__(self, cost: float = 10, enqueue: float = 2) -> None:
        self.now, self.runs, self.cost, self.enqueue = 0, 0, cost, enqueue
        self.waiting = 0
        self.device_ms = 0.0

    def clock(self) -> int:
        return self.now

    def run(self) -> None:
        self.runs += 1
        self.now += int(self.enqueue * MS)
        self.waiting = int((self.cost - self.enqueue) * MS)
        self.device_ms = self.cost - self.enqueue

    def synchronize(self) -> None:
        self.now += self.waiting
        self.waiting = 0

    def start(self) -> None:
        assert self.waiting == 0, "the iteration before is not done"

    def stop(self) -> None:
        pass

    def elapsed_ms(self) -> float:
        assert self.waiting == 0, "read before the device was done"
        return self.device_ms


def test_each_iteration_is_timed_to_its_end() -> None:
    machine = Machine()
    found = closed_loop(
        machine.run,
        machine.synchronize,
        LoopSettings(warmup_iterations=3, warmup_s=0, iterations=12, seconds=0),
        machine,
        machine.clock,
    )
    assert machine.runs == 3 + 12
    np.testing.assert_array_equal(found.host, np.full(12, 10.0))
    np.testing.assert_array_equal(found.enqueue, np.full(12, 2.0))
    assert found.device is not None
    np.testing.assert_array_equal(found.device, np.full(12, 8.0))
    assert (found.drift, found.settled, found.stopped_early) == (0.0, True, False)


@pytest.mark.parametrize(
    ("settings", "warm", "measured"),
    [
        ({"warmup_iterations": 5, "warmup_s": 0, "iterations": 2, "seconds": 0}, 5, 2),
        ({"warmup_iterations": 1, "warmup_s": 0.1, "iterations": 2, "seconds": 0}, 10, 2),
        ({"warmup_iterations": 0, "warmup_s": 0, "iterations": 2, "seconds": 0.5}, 0, 50),
    ],
)
def test_both_the_count_and_the_time_are_met(settings: dict[str, float], warm: int, measured: int) -> None:
    machine = Machine()
    found = closed_loop(machine.run, machine.synchronize, LoopSettings(**settings), None, machine.clock)  # type: ignore[arg-type]
    assert found.host.size == measured
    assert machine.runs == warm + measured
    assert found.device is None


def test_a_limit_ends_it_early_and_is_told() -> None:
    machine = Machine()
    settings = LoopSettings(warmup_iterations=0, warmup_s=0, iterations=100, seconds=0, limit_s=0.25)
    found = closed_loop(machine.run, machine.synchronize, settings, None, machine.clock)
    assert (found.host.size, found.stopped_early) == (25, True)


def test_a_run_that_slows_down_is_not_settled() -> None:
    machine = Machine()

    def run() -> None:
        machine.cost *= 1.01
        machine.run()

    settings = LoopSettings(warmup_iterations=0, warmup_s=0, iterations=40, seconds=0)
    found = closed_loop(run, machine.synchronize, settings, None, machine.clock)
    assert found.drift == pytest.approx(1.01**30 - 1, rel=0.01)
    assert not found.settled


def test_a_run_too_short_to_tell_is_not_settled() -> None:
    assert drift_of(np.ones(7)) is None
    assert drift_of(np.ones(8)) == 0
    assert drift_of(np.zeros(8)) is None


def test_a_clock_that_runs_backwards_is_an_error() -> None:
    machine = Machine()

    def run() -> None:
        machine.run()
        machine.now -= 60_000 * MS if machine.runs == 4 else 0

    settings = LoopSettings(warmup_iterations=0, warmup_s=0, iterations=8, seconds=0)
    with pytest.raises(BackendError, match="backwards"):
        closed_loop(run, machine.synchronize, settings, None, machine.clock)


def test_the_collector_rests_and_comes_back() -> None:
    seen = []
    closed_loop(
        lambda: seen.append(gc.isenabled()),
        lambda: None,
        LoopSettings(warmup_iterations=0, warmup_s=0, iterations=3, seconds=0),
    )
    assert seen == [False] * 3
    assert gc.isenabled()


def test_its_own_overhead_is_small() -> None:
    """The best of five, so that a busy machine does not fail it; ≤ 20 µs a step is what the project promises."""
    settings = LoopSettings(warmup_iterations=0, warmup_s=0, iterations=1, seconds=0)
    least = min(closed_loop(lambda: None, lambda: None, settings).overhead_us for _ in range(5))
    assert 0 < least < 20
