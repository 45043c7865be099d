"""Where stages stand in a schedule's picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.pictures.schedules import EDGE, EDGE_TIMES, THREE_LANES
from videoscene_rt.chain.program import StageTime
from videoscene_rt.chain.schedule import Placed, Schedule
from videoscene_rt.engines.errors import InputError
from videoscene_rt.pictures.schedule_layout import apart, layout, ticks


def spans(schedule: Schedule, times: tuple[StageTime, ...] | None = None) -> dict[str, tuple[float, float]]:
    return {box.stage: (box.begin, box.end) for box in layout(schedule, times).boxes}


def test_without_times_a_stage_is_one_unit_and_as_early_as_it_can_be() -> None:
    assert spans(EDGE) == {
        "render": (0, 1),
        "encode": (1, 2),
        "encode_first_image": (0, 1),
        "encode_last_image": (1, 2),
        "policy": (2, 3),
        "student": (3, 4),
        "decode": (4, 5),
        "watch": (5, 6),
    }
    assert spans(THREE_LANES) == {"a": (0, 1), "b": (1, 2), "c": (2, 3), "d": (3, 4), "e": (4, 5), "f": (3, 4)}
    found = layout(EDGE)
    assert (found.lanes, found.span, found.timed, found.together) == (2, 6, False, 2)
    assert [box.number for box in found.boxes] == list(range(1, 9))


def test_with_times_a_stage_stands_where_it_ran() -> None:
    found = layout(EDGE, EDGE_TIMES[::-1])
    assert spans(EDGE, EDGE_TIMES) == {time.stage: (time.start_ms, time.end_ms) for time in EDGE_TIMES}
    assert [box.stage for box in found.boxes] == [placed.stage for placed in EDGE.placed], "in the schedule's order"
    assert found.span == 5.0
    assert found.timed
    assert found.together == pytest.approx(0.4), "0.1 to 0.5 on lane 1, all of it beside lane 0"


def test_arrows_go_from_lane_to_lane() -> None:
    pairs = [(source.stage, target.stage) for source, target in layout(THREE_LANES).arrows]
    assert pairs == [("a", "b"), ("a", "c"), ("b", "c"), ("c", "d"), ("d", "e")]
    same = Schedule((Placed("a", "g", 0, ()), Placed("b", "g", 0, ("a",))))
    assert layout(same).arrows == ()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=12))
def test_the_time_that_lanes_run_together_is_what_counting_says(stages: list[tuple[int, int, int]]) -> None:
    """Against a count of busy lanes in every millisecond; stages of a lane follow each other."""
    free, placed, times = [0, 0, 0], [], []
    busy = np.zeros((3, 1000), bool)
    for number, (lane, wait, length) in enumerate(stages):
        begin, end = free[lane] + wait, free[lane] + wait + length
        free[lane], busy[lane, begin:end] = end, True
        placed.append(Placed(str(number), "g", lane, ()))
        times.append(StageTime(str(number), lane, float(begin), float(end)))
    found = layout(Schedule(tuple(placed)), times)
    assert found.together == (busy.sum(axis=0) > 1).sum()
    assert found.span == max(free[lane] for lane, _, _ in stages)


def changed(**changes: object) -> tuple[StageTime, ...]:
    return (*EDGE_TIMES[:-1], StageTime(**{"stage": "watch", "lane": 0, "start_ms": 4.99, "end_ms": 5.0, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (EDGE_TIMES[:-1], "stages differ: watch"),
        (changed(stage="look"), "stages differ: look, watch"),
        ((*EDGE_TIMES, EDGE_TIMES[0]), "stages are there twice"),
        (changed(lane=1), "watch ran on lane 1, its place is lane 0"),
        (changed(start_ms=6.0), "watch from 6.0 to 5.0 ms"),
        (changed(start_ms=-1.0), "watch from -1.0"),
        (changed(end_ms=float("inf")), "to inf ms"),
        (changed(end_ms=float("nan")), "to nan ms"),
    ],
)
def test_times_that_are_not_this_schedules_are_refused(times: tuple[StageTime, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        layout(EDGE, times)


@given(st.floats(1e-4, 1e6), st.integers(3, 20))
def test_ticks_are_round_and_not_too_many(span: float, most: int) -> None:
    marks = ticks(span, most)
    assert marks[0] == 0
    assert marks[-1] <= span * (1 + 1e-6)
    assert 2 <= len(marks) <= most + 1
    step = marks[1]
    digits = float(f"{step:.6e}".split("e")[0])
    assert digits in (1, 2, 5)
    assert np.allclose(np.diff(marks), step)
    assert span - marks[-1] <= step * (1 + 1e-6), "the last one is near the end"


def test_nothing_lasts_no_time() -> None:
    assert ticks(0) == (0.0,)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(5, 30)), max_size=15))
def test_labels_stand_apart_and_near(wanted: list[tuple[float, float]]) -> None:
    centres, widths = sorted(centre for centre, _ in wanted), [width for _, width in wanted]
    right = 1010.0
    spots = apart(centres, widths, right)
    for i in range(1, len(spots)):
        assert spots[i] - spots[i - 1] >= (widths[i - 1] + widths[i]) / 2 - 1e-6
    assert all(spot + width / 2 <= right + 1e-6 for spot, width in zip(spots, widths, strict=True))
    free = [centre + 40 * len(centres) < right for centre in centres]
    moved = [abs(spot - centre) for spot, centre in zip(spots, centres, strict=True)]
    assert all(distance <= sum(widths) for distance, is_free in zip(moved, free, strict=True) if is_free)
