"""A build that is killed leaves no engine that is not right, and no lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.kills import series
from tests.support.nursery import Nursery


@pytest.mark.parametrize("times", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_at_random_points(nursery: Nursery, small_bundle: Path, times: int) -> None:
    made = series(small_bundle, times, seed=times, nursery=nursery)
    assert made.problems == []
    assert made.killed == times
