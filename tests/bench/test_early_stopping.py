"""The estimates of early stopping against SciPy's incomplete beta function, which is how MLPerf's loadgen writes the formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import betainc

from videoscene_rt.bench.early_stopping import discarded, estimate
from videoscene_rt.bench.percentiles import LEAST_SAMPLES, summarise


def least_fast(t: int, share: float) -> int:
    """loadgen's h_min: the fewest samples within the bound that t samples over it need, I_p(h, 1 + t) < 1 − c."""
    h = 1
    while betainc(h, 1 + t, share) >= 0.01:
        h += 1
    return h


@pytest.mark.parametrize(("thousandths", "least"), [(900, 64), (990, 662), (999, 6636)])
def test_the_fewest_samples_are_mlperfs(thousandths: int, least: int) -> None:
    assert LEAST_SAMPLES[thousandths] == least
    assert discarded(least - 1, thousandths) is None
    assert discarded(least, thousandths) == 1
    assert least_fast(1, thousandths / 1000) + 1 == least


@pytest.mark.parametrize("count", [64, 65, 80, 100, 150, 333])
def test_it_is_the_loop_that_loadgen_makes(count: int) -> None:
    """It raises t while count ≥ h_min(t) + t, and takes the sample at count − t."""
    t = 1
    while count >= least_fast(t + 1, 0.9) + t + 1:
        t += 1
    assert discarded(count, 900) == t
    samples = np.sort(np.random.default_rng(count).gamma(2, 3, count))
    assert estimate(samples, 900) == samples[count - t]


@pytest.mark.parametrize("thousandths", [900, 990, 999])
@pytest.mark.parametrize("count", [7000, 50_001])
def test_long_runs_agree_with_the_binomial_distribution(count: int, thousandths: int) -> None:
    t, late = discarded(count, thousandths), 1 - thousandths / 1000
    assert t is not None
    assert stats.binom.cdf(t, count, late) < 0.01 <= stats.binom.cdf(t + 1, count, late)


def test_it_is_above_the_percentile_and_comes_down_to_it() -> None:
    gaps = []
    for count in (64, 662, 20_000):
        found = summarise(np.random.default_rng(1).gamma(2, 3, count))
        assert found.p90 is not None
        assert found.early_p90 is not None
        gaps.append(found.early_p90 - found.p90)
    assert gaps[0] > gaps[1] > gaps[2] > 0


def test_too_few_have_none() -> None:
    found = summarise(np.arange(1.0, 64.0))
    assert (found.early_p90, found.early_p99, found.early_p99_9) == (None, None, None)


def test_it_covers_the_true_percentile_as_often_as_it_says() -> None:
    """Of 2,000 runs of 100 samples, about 1 in 100 may have an estimate below the true p90."""
    rng = np.random.default_rng(7)
    true = stats.expon.ppf(0.9)
    below = sum((estimate(np.sort(rng.exponential(size=100)), 900) or 0) < true for _ in range(2000))
    assert below <= 2000 * 0.01 + 3 * (2000 * 0.01 * 0.99) ** 0.5
