"""The loop and the verdict on a clock that the test turns: what is timed, what is paused, what each limit finds."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.bench.test_fixed_rate import Machine
from videoscene_rt.bench.soak.facts import Finding, Look, SoakSettings
from videoscene_rt.bench.soak.limits import Limits
from videoscene_rt.bench.soak.log import Log
from videoscene_rt.bench.soak.memory import open_files, resident_bytes, threads
from videoscene_rt.bench.soak.running import Subject, run_soak
from videoscene_rt.bench.soak.verdict import findings, growth
from videoscene_rt.bench.step_facts import RateFacts
from videoscene_rt.counters import Counters
from videoscene_rt.engines.errors import InputError

FINE = Counters(1, 0, 0, 0, 0, 0, 0, {}, 0, 0, None, {}, 0, 0)
MIB = 2**20


def subject(machine: Machine, step: Callable[[], object] | None = None, look_ms: float = 0.0) -> Subject:
    def outputs() -> list[dict[str, str]]:
        machine.now += round(look_ms * 1e6)
        return [{"frames": "a"}]

    return Subject(step or machine.run, None, outputs, lambda: None)


def settings(seconds: float, every_s: float, rate_hz: float | None = None, warmup_s: float = 0.0) -> SoakSettings:
    return SoakSettings(seconds=seconds, every_s=every_s, warmup_s=warmup_s, rate_hz=rate_hz)


def found(log: Log, told: SoakSettings, counters: Counters = FINE, limits: Limits | None = None) -> dict[str, Finding]:
    return {each.name: each for each in findings(log, limits or Limits(), told, counters, None)}


def looked(**columns: list[int]) -> Log:
    """A log of looks a second apart, with these columns."""
    log = Log()
    for number in range(len(next(iter(columns.values())))):
        values = {
            "resident_bytes": 100 * MIB,
            "python_blocks": 1000,
            "device_free_bytes": None,
            "threads": 4,
            "open_files": 9,
        }
        values.update({name: column[number] for name, column in columns.items()})
        log.look(Look(at_s=number, steps=number, **values))  # type: ignore[arg-type]
    return log


def test_arrivals_stay_on_one_grid_and_those_of_a_look_are_paused() -> None:
    """20 Hz, looks of 120 ms: three arrivals pass during the first one, two during each other one; none is dropped or missed."""
    machine, log = Machine(10), Log()
    run_soak(subject(machine, look_ms=120), settings(3.0, 0.5, 20.0), log, clock=machine.clock, sleep=machine.sleep)
    turns = np.array(log._turns).reshape(-1, 4)
    assert np.abs(turns[:, 0] * 20 - np.round(turns[:, 0] * 20)).max() < 0.01, "each turn begins with an arrival"
    # The arrival after the look, 3; ten of them, the last one at 0.60; 10 ms of step and a look later, 15.
    assert turns[:2, 0].round(2).tolist() == [0.15, 0.75]
    assert (log.dropped, log.missed) == (0, 0)
    assert log.paused == 3 + 2 * (len(turns) - 1)
    assert log.arrivals == log.steps
    assert log.paused + log.arrivals == round(turns[-1, 0] * 20) + log.steps - int(turns[-1, 1]), "every one is counted"
    np.testing.assert_allclose(log.age_ms(), 10, atol=0.01)


def test_a_closed_loop_takes_the_time_and_looks_when_it_was_told_to() -> None:
    machine, log, looks = Machine(10), Log(), []
    run_soak(subject(machine), settings(2.0, 0.5), log, lambda: looks.append(log.seconds), machine.clock, machine.sleep)
    assert np.round(looks, 1).tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert log.steps == 200
    assert log.age_ms().size == 0
    assert log.output.compared == 4


def test_the_last_look_is_not_before_the_end() -> None:
    """At 20 Hz and 0.5 s a turn the fourth one ends at 1.96 s; its look, 50 ms long, ends after the 2 s: it is not the last."""
    machine, log = Machine(10), Log()

    def device_free() -> None:
        machine.now += 50_000_000

    run_soak(
        Subject(machine.run, None, lambda: [{"frames": "a"}], device_free),
        settings(2.0, 0.5, 20.0),
        log,
        clock=machine.clock,
        sleep=machine.sleep,
    )
    assert 2.0 <= log.seconds < 2.1


def test_minutes() -> None:
    """30 s turns of steps of 1, 2, 3, 4 ms: two minutes of two turns; what began at 90 s is of the second."""
    log = Log()
    for number, count in enumerate((400, 400, 40, 10)):
        log.turn(30.0 * number, np.full(count, number + 1.0), np.full(count, 5.0 + number), dropped=number, missed=1)
    first, second = log.minutes
    assert (first.begin_s, first.steps, first.p50_ms, first.p90_ms, first.p99_ms, first.max_ms) == (0, 800, 1, 2, 2, 2)
    assert (second.begin_s, second.steps, second.p50_ms, second.p90_ms, second.p99_ms, second.max_ms) == (
        60, 50, 3, None, None, 4,
    )  # fmt: skip
    assert (second.dropped, second.missed, second.age_max_ms) == (5, 2, 8)
    assert log.step_ms(60).size == log.age_ms(60).size == 50


def test_looks_come_back_as_they_were() -> None:
    log = looked(resident_bytes=[3 * 2**40, 5], device_free_bytes=[7, 8])
    assert [look.resident_bytes for look in log.looks] == [3 * 2**40, 5]
    assert log.looks[1] == Look(
        at_s=1, steps=1, resident_bytes=5, python_blocks=1000, device_free_bytes=8, threads=4, open_files=9
    )


def test_growth_is_of_the_medians_of_quarters() -> None:
    assert growth(np.arange(8.0)) == (0.5, 6.5)
    assert growth(np.array([0.0, 0, 9, 0, 0, 0, 0, 0, 0, 9, 0, 0])) == (0, 0), "one odd look at either end is none"
    assert growth(np.arange(7.0)) is None


@pytest.mark.parametrize(
    ("column", "values", "name", "said"),
    [
        ("resident_bytes", [(100 + turn) * MIB for turn in range(40)], "host memory", "+30.0 MiB"),
        ("resident_bytes", [100 * MIB + turn * MIB // 4 for turn in range(40)], "host memory", "+7.5 MiB (+7.4%)"),
        ("python_blocks", [1000 + 100 * turn for turn in range(40)], "Python's memory blocks", "+3,000"),
        ("device_free_bytes", [(900 - 2 * (turn // 20)) * MIB for turn in range(40)], "device memory", "+2.0 MiB"),
        ("threads", [4 + turn // 10 for turn in range(40)], "threads", "+3, of 4"),
        ("open_files", [9 + turn // 20 for turn in range(40)], "open files", "+1, of 9"),
    ],
)
def test_what_grows_is_found_and_alone(column: str, values: list[int], name: str, said: str) -> None:
    told = found(looked(**{column: values}), settings(40, 1))
    assert [each for each, finding in told.items() if finding.held is False] == [name]
    assert said in told[name].said
    assert found(looked(**{column: values}), settings(40, 1, warmup_s=39))[name].held is None, (
        "nothing is left to tell by"
    )
    level = found(looked(**{column: [values[0]] * 40}), settings(40, 1))
    assert level[name].held is True


def test_what_grows_in_the_warmup_alone_is_none() -> None:
    values = [(50 + min(turn, 20) * 20) * MIB for turn in range(60)]
    assert found(looked(resident_bytes=values), settings(60, 1, warmup_s=20))["host memory"].held is True
    assert found(looked(resident_bytes=values), settings(60, 1, warmup_s=0))["host memory"].held is False


def test_what_the_system_does_not_say_is_a_plain_word(tmp_path: Path) -> None:
    assert resident_bytes(tmp_path) is None
    assert open_files(tmp_path) is None
    assert threads(tmp_path) >= 1
    log = looked(resident_bytes=[None] * 20, open_files=[None] * 20)  # type: ignore[list-item]
    told = found(log, settings(20, 1))
    assert (told["host memory"].held, told["host memory"].said) == (None, "there is no /proc/self/statm on this system")
    assert told["open files"].held is None


def test_a_tail_that_drifts_is_found_though_the_median_stays() -> None:
    """Every fiftieth step takes 3 ms, in the last quarter 6 ms."""
    machine, log = Machine(1.0), Log()
    count = itertools.count()

    def step() -> None:
        number = next(count)
        slow = 6.0 if number > 3200 else 3.0
        machine.now += round((slow if number % 50 == 0 else 1.0) * 1e6)

    run_soak(subject(machine, step), settings(4.4, 0.2), log, clock=machine.clock, sleep=machine.sleep)
    told = found(log, settings(4.4, 0.2))
    assert told["p50"].held is True
    assert (told["p99"].held, told["p99"].said[:31]) == (False, "3.000 ms, then 6.000 ms (+100.0")
    assert found(log, settings(4.4, 0.2), limits=Limits(p99_share=1.1))["p99"].held is True
    assert found(log, settings(4.4, 0.2), limits=Limits(p99_ms=3.1))["p99"].held is True


def test_too_few_steps_for_a_tail_are_said() -> None:
    log = Log()
    log.turn(0, np.ones(2000), None)
    assert found(log, settings(10, 1))["p99"].said == (
        "500 steps in a quarter of the time after the warm-up; it takes 662"
    )


def test_steps_that_were_no_good_and_inputs_that_nobody_answered() -> None:
    bad = Counters(9, 0, 0, 1, 1, 0, 0, {}, 0, 0, None, {}, 1, 0)
    assert found(Log(), settings(1, 1), bad)["steps"].held is False
    assert found(Log(), settings(1, 1), bad, Limits(bad_steps=3))["steps"].held is True
    facts = RateFacts(rate_hz=2, deadline_ms=500, arrivals=10, done=6, dropped=4, missed=2, overhead_us=1)
    (rate,) = (each for each in findings(Log(), Limits(), settings(1, 1, 2.0), FINE, facts) if each.name == "rate")
    assert rate.held is False
    assert "of 10 inputs at 2 Hz 4 were dropped for a newer one and 2 answered after 500 ms" in rate.said


def test_limits_are_data(tmp_path: Path) -> None:
    path = tmp_path / "limits.json"
    path.write_text('{"host_mib": 1}')
    assert Limits.read(path) == Limits(host_mib=1)
    path.write_text('{"host_gib": 1}')
    with pytest.raises(InputError, match="host_gib"):
        Limits.read(path)
    path.write_text('{"host_mib": -1}')
    with pytest.raises(InputError, match="host_mib"):
        Limits.read(path)
    with pytest.raises(InputError, match="No such file"):
        Limits.read(tmp_path / "none.json")
