"""Arrivals on a clock that the test turns: which are taken, which are dropped, how old the results are."""

from __future__ import annotations

import gc
import math
from typing import Any

import numpy as np
import pytest

from videoscene_rt.bench.closed_loop import Samples
from videoscene_rt.bench.fixed_rate import RateRun, checked_deadline, checked_rate, fixed_rate
from videoscene_rt.bench.step_facts import RateFacts
from videoscene_rt.engines.errors import BackendError, InputError

MS = 1_000_000


class Machine:
    """Steps that take ``costs`` ms each in turn, on a clock of its own; a reading of it takes 10 ns."""

    def __init__(self, *costs: float) -> None:
        self.now, self.runs, self.costs, self.slept = 0, 0, costs, 0.0

    def clock(self) -> int:
        self.now += 10
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += round(seconds * 1e9)

    def run(self) -> None:
        self.now += round(self.costs[self.runs % len(self.costs)] * MS)
        self.runs += 1


def near(found: Samples, wanted: Any) -> None:
    np.testing.assert_allclose(found, wanted, atol=0.01)


def run(machine: Machine, hz: float, arrivals: int, deadline_ms: float | None = None) -> RateRun:
    return fixed_rate(machine.run, hz, arrivals, deadline_ms, machine.clock, machine.sleep)


def test_a_step_that_is_quick_enough_takes_every_arrival() -> None:
    machine = Machine(10)
    found = run(machine, 20, 8)
    assert (machine.runs, found.arrivals, found.dropped, found.missed) == (8, 8, 0, 0)
    near(found.age, np.full(8, 10.0))
    near(found.wait, np.zeros(8))
    near(found.oldest, np.full(7, 60.0))
    assert machine.slept > 0.2, "it sleeps between arrivals"


def test_the_newest_is_taken_and_older_ones_are_dropped() -> None:
    """120 ms a step at 20 Hz: inputs come at 0, 50, 100, …; after the first, the one of 100 is the newest."""
    found = run(Machine(120), 20, 7)
    near(found.wait, [0, 20, 40, 60])
    near(found.age, [120, 140, 160, 180])
    assert found.age.size + found.dropped == 7
    assert found.missed == 4


def test_by_hand() -> None:
    """0: there at 30. 50: there at 160. 100 is dropped, 150 taken at 160, there at 190. 200: there at 230, and so on."""
    found = run(Machine(30, 110, 30, 30), 20, 6)
    near(found.age, [30, 110, 40, 30, 30])
    near(found.wait, [0, 0, 10, 0, 0])
    near(found.oldest, [160, 140, 80, 80])
    assert (found.dropped, found.missed) == (1, 1)


def test_the_deadline_can_be_another() -> None:
    assert run(Machine(30, 110, 30, 30), 20, 6, deadline_ms=29.9).missed == 5  # every one
    assert run(Machine(30, 110, 30, 30), 20, 6, deadline_ms=200).missed == 0


def test_a_step_by_the_deadline_is_told_what_is_left_of_it() -> None:
    """The third arrival of `test_by_hand` has waited for 10 ms when it is taken."""
    machine, left = Machine(30, 110, 30, 30), list[float]()

    def by(seconds: float) -> None:
        left.append(seconds * 1e3)
        machine.run()

    fixed_rate(machine.run, 20, 6, 60.0, machine.clock, machine.sleep, by=by)
    np.testing.assert_allclose(left, [60, 60, 50, 60, 60], atol=0.01)
    late = list[float]()
    machine = Machine(120)
    fixed_rate(
        machine.run, 20, 7, 30.0, machine.clock, machine.sleep, by=lambda seconds: (late.append(seconds), machine.run())
    )
    assert late[-1] == 0, "never less than nothing"


@pytest.mark.parametrize("hz", [0.0, -20.0, 1e9, math.nan, math.inf])
def test_a_rate_that_nothing_arrives_at_is_refused(hz: float) -> None:
    with pytest.raises(InputError, match=r"cannot arrive at .* Hz") as caught:
        checked_rate(hz)
    assert caught.value.remedy == "give a rate from 0.01 to 10,000 Hz"


@pytest.mark.parametrize("deadline", [0.0, -1.0, math.nan, math.inf])
def test_a_deadline_that_is_none(deadline: float) -> None:
    with pytest.raises(InputError, match="cannot be met"):
        checked_deadline(deadline, 20)
    assert checked_deadline(None, 20) == 50


def test_zero_arrivals_are_refused() -> None:
    with pytest.raises(InputError, match="zero arrivals"):
        run(Machine(10), 20, 0)


def test_one_arrival_is_enough() -> None:
    found = run(Machine(10), 20, 1)
    near(found.age, [10.0])
    assert found.oldest.size == 0


def test_a_clock_that_runs_backwards_is_an_error() -> None:
    machine = Machine(10, -3600_000)
    with pytest.raises(BackendError, match="backwards"):
        run(machine, 20, 8)


def test_the_collector_rests_and_its_own_overhead_is_small() -> None:
    seen = []
    least = min(fixed_rate(lambda: seen.append(gc.isenabled()), 10_000, 2).overhead_us for _ in range(5))
    assert set(seen) == {False}
    assert gc.isenabled()
    assert 0 < least < 20


@pytest.mark.parametrize(
    ("dropped", "missed", "verdict"),
    [(0, 0, "met"), (1, 0, "missed at times"), (30, 20, "missed at times"), (30, 21, "not met")],
)
def test_the_verdict(dropped: int, missed: int, verdict: str) -> None:
    facts = RateFacts(
        rate_hz=20, deadline_ms=50, arrivals=100, done=100 - dropped, dropped=dropped, missed=missed, overhead_us=1
    )
    assert facts.verdict == verdict
