"""What a percentile is at most, given how few samples there are: an estimate from early stopping.

A percentile of a short run may be low by luck. MLPerf inference therefore takes a higher sample the shorter the run is (loadgen,
`early_stopping.cc` and `PerformanceSummary::EarlyStopping` in `results.cc`, scenario SingleStream; confidence c = 0.99, tolerance 0).
With n samples and the share p, t samples may be over the estimate's bound if so few would be unlikely for a slower system:

    P[X ≤ t] < 1 − c,   X ~ Binomial(n, 1 − p)

The estimate is the t-th largest sample for the largest such t ≥ 1; where t = 1 does not fulfil it there is none. That is so under 64
samples for p = 0.9, 662 for 0.99 and 6,636 for 0.999. These are estimates by the same rule; they are no MLPerf results.
"""

from __future__ import annotations

from math import exp, lgamma, log

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.99


def discarded(count: int, thousandths: int, confidence: float = CONFIDENCE) -> int | None:
    """The t of the formula above: the estimate is the t-th largest of ``count`` samples. None where there are too few.

    Args:
        count: samples, at least 1.
        thousandths: the percentile: 900 for p90; from 1 to 999.
        confidence: between 0 and 1.
    """
    late = 1 - thousandths / 1000
    at_most, found = 0.0, None
    for t in range(count + 1):
        at_most += exp(_log_probability(count, t, late))
        if at_most >= 1 - confidence:
            break
        found = t
    return found or None


def estimate(ordered: npt.NDArray[np.float64], thousandths: int, confidence: float = CONFIDENCE) -> float | None:
    """The estimate of a percentile, one of the samples; None where there are too few.

    Args:
        ordered: sorted samples, at least one.
        thousandths, confidence: see `discarded`.
    """
    t = discarded(ordered.size, thousandths, confidence)
    return None if t is None else float(ordered[-t])


def _log_probability(count: int, events: int, probability: float) -> float:
    """Logarithm of the binomial distribution's mass."""
    ways = lgamma(count + 1) - lgamma(events + 1) - lgamma(count - events + 1)
    return ways + events * log(probability) + (count - events) * log(1 - probability)
