"""Overlap of stages against a clock that ticks through them."""

from __future__ import annotations

import numpy as np
import pytest

from videoscene_rt.bench.overlap import StageSpan, overlap


def spans(*times: tuple[int, int]) -> list[StageSpan]:
    return [StageSpan(stage=f"s{n}", lane=n % 2, start_ms=a, end_ms=b) for n, (a, b) in enumerate(times)]


@pytest.mark.parametrize("seed", range(8))
def test_against_a_ticking_clock(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 60, 7)
    found = spans(*[(int(a), int(a + rng.integers(1, 25))) for a in starts])
    first, last = min(s.start_ms for s in found), max(s.end_ms for s in found)
    active = [
        sum(s.start_ms <= tick + 0.5 < s.end_ms for s in found) for tick in range(int(first), int(last))
    ]  # fmt: skip
    result = overlap(found)
    assert result.at_once_ms == sum(n >= 2 for n in active)
    assert result.idle_ms == sum(n == 0 for n in active)
    assert result.span_ms == len(active)
    assert result.busy_ms == sum(active)


def test_stages_that_touch_do_not_overlap() -> None:
    result = overlap(spans((0, 5), (5, 9)))
    assert (result.at_once_ms, result.pairs) == (0, ())


def test_the_pairs_are_named() -> None:
    result = overlap(spans((0, 5), (3, 4), (4, 6), (7, 8)))
    assert result.pairs == (("s0", "s1"), ("s0", "s2"))
    assert result.idle_ms == 1


def test_no_stages() -> None:
    assert overlap([]).span_ms == 0
