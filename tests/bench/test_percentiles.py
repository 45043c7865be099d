"""The statistics against NumPy's, SciPy's and the definitions themselves."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from videoscene_rt.bench.percentiles import percentile, summarise
from videoscene_rt.engines.errors import InputError


@given(st.lists(st.integers(0, 50), min_size=1, max_size=120), st.sampled_from([1, 500, 900, 990, 999, 1000]))
def test_a_percentile_is_the_least_sample_that_the_share_does_not_exceed(samples: list[int], thousandths: int) -> None:
    found = percentile(np.sort(np.asarray(samples, np.float64)), thousandths)
    share = Fraction(thousandths, 1000)
    assert found == min(x for x in set(samples) if Fraction(sum(y <= x for y in samples), len(samples)) >= share)


@pytest.mark.parametrize("count", [64, 662, 6636, 7001])
def test_statistics_are_numpys_and_scipys(count: int) -> None:
    samples = np.random.default_rng(count).gamma(2.0, 3.0, count)
    found = summarise(samples)
    assert found.count == count
    assert found.mean == pytest.approx(np.mean(samples))
    assert found.std == pytest.approx(stats.tstd(samples))
    assert (found.min, found.max) == (np.min(samples), np.max(samples))
    assert found.jitter == pytest.approx(sum(abs(b - a) for a, b in pairwise(samples)) / (count - 1))
    for share, value in ((50, found.p50), (90, found.p90), (99, found.p99), (99.9, found.p99_9)):
        if value is not None:
            assert value == np.percentile(samples, share, method="inverted_cdf")
            assert value == stats.quantile(samples, share / 100, method="inverted_cdf")


@pytest.mark.parametrize(
    ("count", "given_ones"),
    [
        (1, set()),
        (63, set()),
        (64, {"p90"}),
        (661, {"p90"}),
        (662, {"p90", "p99"}),
        (6635, {"p90", "p99"}),
        (6636, {"p90", "p99", "p99_9"}),
    ],
)
def test_a_percentile_needs_its_samples(count: int, given_ones: set[str]) -> None:
    found = summarise(np.arange(count, dtype=float))
    assert {name for name in ("p90", "p99", "p99_9") if getattr(found, name) is not None} == given_ones


def test_one_sample_has_no_spread() -> None:
    found = summarise([2.5])
    assert (found.mean, found.p50, found.std, found.jitter) == (2.5, 2.5, None, None)


@pytest.mark.parametrize("samples", [[], [1.0, -1e-9], [1.0, float("nan")], [float("inf")]])
def test_what_is_no_list_of_latencies_is_refused(samples: list[float]) -> None:
    with pytest.raises(InputError, match="zero samples|not finite"):
        summarise(samples)
