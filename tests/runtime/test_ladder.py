"""The ladder: its data, and the hysteresis against a plain account of what should happen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoscene_rt import InputError, Ladder
from videoscene_rt.ladder_climb import LadderClimb, p99_of

HAS = ("full", "tiny", "coarse")


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        ({"rungs": ()}, "rungs are"),
        ({"rungs": ("full",)}, "rungs are"),
        ({"rungs": ("tiny", "full", "coarse")}, "rungs are"),
        ({"rungs": ("huge", "coarse")}, "rungs are"),
        ({"rungs": "coarse"}, "rungs are 'coarse'"),
        ({"down_after": 0}, "down_after must be a whole number from 1"),
        ({"up_after": 1.5}, "up_after"),
        ({"window": True}, "window"),
        ({"down_margin": 0.9}, "down_margin must be a number from 1 "),
        ({"up_margin": 1.0}, "up_margin must be a number from 1.05"),
        ({"up_margin": float("nan")}, "up_margin"),
        ({"grace_ms": -1}, "grace_ms"),
        ({"grace_ms": "1"}, "grace_ms"),
    ],
)
def test_what_is_out_of_range_is_named_from_a_program_and_from_a_file(
    tmp_path: Path, changes: dict[str, Any], culprit: str
) -> None:
    with pytest.raises(InputError, match=culprit):
        Ladder(**changes)
    path = tmp_path / "ladder.json"
    path.write_text(json.dumps(changes))
    with pytest.raises(InputError, match=f"ladder.json: .*{culprit}"):
        Ladder.read(path)


def test_a_file_says_what_differs_from_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "ladder.json"
    path.write_text('{"rungs": ["tiny", "coarse"], "up_after": 7}')
    assert Ladder.read(path) == Ladder(rungs=("tiny", "coarse"), up_after=7)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"speed": 1}', "\udcff", "[" * 100_000])
def test_what_is_no_ladder_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ladder.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"ladder\.json"):
        Ladder.read(path)
    with pytest.raises(InputError, match="nowhere"):
        Ladder.read(tmp_path / "nowhere")


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400))
def test_p99_is_the_nearest_rank(values: list[float]) -> None:
    assert p99_of(values) == np.percentile(values, 99, method="inverted_cdf")


def test_of_nothing_there_is_no_p99() -> None:
    assert p99_of([]) is None


def test_rungs_that_the_pipeline_does_not_have_are_passed_over() -> None:
    assert LadderClimb(Ladder(), ("tiny", "coarse")).rungs == ("tiny", "coarse")
    assert LadderClimb(Ladder(rungs=("tiny", "coarse")), HAS).rungs == ("tiny", "coarse")


def drive(climb: LadderClimb, budgets: list[float], takes: dict[str, float]) -> list[str]:
    """Steps whose rungs take what they take; the rung of each."""
    rungs = []
    for left in budgets:
        rung = climb.choose(left, busy=False)
        climb.observe(rung, takes[rung])
        rungs.append(rung)
    return rungs


def test_down_as_far_as_it_takes_and_up_one_at_a_time() -> None:
    climb = LadderClimb(Ladder(down_after=2, up_after=3, forget_after=1000), HAS)
    takes = {"full": 40.0, "tiny": 20.0, "coarse": 1.0}
    assert drive(climb, [50] * 3, takes) == ["full"] * 3
    # Full does not fit 30 ms; tiny was never measured, so it is tried, at the second such step.
    assert drive(climb, [30] * 3, takes) == ["full", "tiny", "tiny"]
    assert drive(climb, [10] * 3, takes) == ["tiny", "coarse", "coarse"]
    assert drive(climb, [49] * 8, takes) == ["coarse", "coarse", "tiny", "tiny", "tiny", "full", "full", "full"]
    assert (climb.downs, climb.ups) == (2, 2)


def test_between_the_margins_it_stays_where_it_is() -> None:
    climb = LadderClimb(Ladder(down_margin=1.1, up_margin=1.5, up_after=2, forget_after=1000), HAS)
    takes = {"full": 100.0, "tiny": 10.0, "coarse": 1.0}
    assert drive(climb, [120] * 5, takes) == ["full"] * 5
    assert drive(climb, [105] * 2, takes) == ["tiny"] * 2
    assert drive(climb, [149] * 10, takes) == ["tiny"] * 10, "150 are needed to come back"
    assert drive(climb, [151] * 4, takes) == ["tiny", "full", "full", "full"]
    assert drive(climb, [111] * 10, takes) == ["full"] * 10


def test_one_step_that_fits_in_between_begins_the_count_anew() -> None:
    climb = LadderClimb(Ladder(down_after=3, forget_after=1000), HAS)
    takes = {"full": 40.0, "tiny": 20.0, "coarse": 1.0}
    assert drive(climb, [50, 30, 30, 50, 30, 30, 50], takes) == ["full"] * 7
    assert drive(climb, [30, 30, 30], takes) == ["full", "full", "tiny"]


def test_what_was_not_measured_for_long_is_tried_again() -> None:
    climb = LadderClimb(Ladder(rungs=("full", "coarse"), up_after=2, forget_after=10), HAS)
    takes = {"full": 100.0, "coarse": 1.0}
    rungs = drive(climb, [50] * 40, takes)
    assert rungs[0] == "full"
    gaps = np.diff([number for number, rung in enumerate(rungs) if rung == "full"])
    assert gaps.size > 1
    assert (gaps > 10).all()
    takes["full"] = 20.0  # whatever slowed it down is over
    rungs = drive(climb, [50] * 40, takes)
    assert rungs[-25:] == ["full"] * 25


def test_a_busy_device_teaches_nothing() -> None:
    climb = LadderClimb(Ladder(down_after=1, up_after=1), HAS)
    takes = {"full": 40.0, "tiny": 20.0, "coarse": 1.0}
    drive(climb, [50], takes)
    assert [climb.choose(0.0, busy=True) for _ in range(5)] == ["coarse"] * 5
    assert (climb.at, climb.downs) == (0, 0)
    assert drive(climb, [50], takes) == ["full"]


def test_a_late_step_counts_once_with_what_it_took_in_the_end() -> None:
    climb = LadderClimb(Ladder(), HAS)
    climb.choose(50, busy=False)
    climb.observe("full", 50.0)
    climb.correct("full", 83.0)
    assert climb.p99("full") == 83.0
    for _ in range(300):
        climb.observe("full", 10.0)
    assert climb.p99("full") == 10.0, "the window has gone on"
