"""Clocks that part are found out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from videoscene_rt.bench.clocks import ClockWatch, read_clocks
from videoscene_rt.engines.errors import BackendError


def turned(*readings: dict[str, float]) -> Callable[[], dict[str, float]]:
    left = list(readings)
    return lambda: left.pop(0)


START = {"monotonic": 100.0, "raw": 99.0, "boot": 500.0}


@pytest.mark.parametrize("after", [(10.0, 10.0, 10.0), (10.0, 10.004, 10.0), (100.0, 99.95, 100.0), (0.0, 0.0, 0.0)])
def test_clocks_that_agree(after: tuple[float, float, float]) -> None:
    later = {name: START[name] + passed for name, passed in zip(START, after, strict=True)}
    ClockWatch(turned(START, later)).check()


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ((-1.0, 1.0, 1.0), "jumped back by 1.000 s"),
        ((10.0, 10.1, 10.0), "was set or slewed, by 0.100 s in 10.0 s"),
        ((10.0, 8.0, 10.0), "was set or slewed"),
        ((10.0, 10.0, 3610.0), "stood still while the machine slept, by 3600.000 s"),
    ],
)
def test_a_jump_is_an_error_in_words(after: tuple[float, float, float], words: str) -> None:
    later = {name: START[name] + passed for name, passed in zip(START, after, strict=True)}
    with pytest.raises(BackendError, match=words) as caught:
        ClockWatch(turned(START, later)).check()
    assert caught.value.remedy == "measure again, on a machine left alone"


def test_a_system_without_the_other_clocks() -> None:
    ClockWatch(turned({"monotonic": 1.0}, {"monotonic": 9.0})).check()
    ClockWatch(turned({}, {})).check()


def test_the_clocks_of_this_machine_agree() -> None:
    assert "monotonic" in read_clocks()
    ClockWatch().check()
