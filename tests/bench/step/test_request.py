"""What `vsrt bench` is asked: how long its series are, and what it refuses before anything is loaded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from videoscene_rt.bench.step.request import BenchRequest
from videoscene_rt.engines.errors import InputError


def request(**told: Any) -> BenchRequest:
    return BenchRequest(Path("none.bundle"), **told)


@pytest.mark.parametrize(
    ("told", "iterations", "seconds", "limit", "arrivals"),
    [
        ({}, 64, 3, 30, 200),
        ({"steps": 1000}, 1000, 0, None, 1000),
        ({"seconds": 2.5}, 1, 2.5, None, 50),
        ({"steps": 7, "seconds": 2}, 7, 2, None, 7),
        ({"rate_hz": 3.0, "seconds": 0.1}, 1, 0.1, None, 1),
    ],
)
def test_how_long(told: dict[str, Any], iterations: int, seconds: float, limit: float | None, arrivals: int) -> None:
    found = request(**told).checked()
    assert (found.settings.iterations, found.settings.seconds, found.settings.limit_s) == (iterations, seconds, limit)
    assert found.arrivals == arrivals
    assert 1 <= found.side.iterations <= iterations


def test_modes_come_once_and_in_their_order() -> None:
    assert request(modes=("stream", "closed", "stream")).checked().modes == ("closed", "stream")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"modes": ("fast",)}, "there is no mode 'fast'"),
        ({"modes": ()}, "there is no mode given"),
        ({"rate_hz": 1e7}, "inputs cannot arrive at 1e\\+07 Hz"),
        ({"rate_hz": math.nan}, "inputs cannot arrive at nan Hz"),
        ({"rate_hz": 20, "modes": ("closed",)}, "for --mode rate"),
        ({"deadline_ms": 0}, "a deadline of 0 ms cannot be met"),
        ({"steps": 0}, "zero samples"),
        ({"seconds": -1.0}, "zero samples"),
        ({"seconds": math.inf}, "zero samples"),
        ({"starts": -1}, "-1 starts"),
        ({"backend": "abacus"}, "abacus"),
    ],
)
def test_what_is_refused(told: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        request(**told).checked()
