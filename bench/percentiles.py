"""What is said of a list of latencies, and how many samples each percentile takes before it is said at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from videoscene_rt.bench.early_stopping import estimate
from videoscene_rt.engines.errors import InputError

LEAST_SAMPLES = {500: 1, 900: 64, 990: 662, 999: 6636}
"""Fewest samples for a percentile, given in thousandths: MLPerf inference's query counts for early stopping."""
_TAILS = (900, 990, 999)


@dataclass(frozen=True)
class Summary:
    """A list of latencies in the samples' own unit.

    ``p90``, ``p99`` and ``p99_9`` are None where there are too few samples (`LEAST_SAMPLES`). ``std`` is the sample standard
    deviation (n − 1), None of one sample. ``jitter`` is the mean absolute difference of consecutive samples, in the order they
    were taken; None of one sample. ``early_…`` are the estimates of `videoscene_rt.bench.early_stopping`: what the percentile is at
    most, as far as so many samples can tell; there is one exactly where there is the percentile.
    """

    count: int
    mean: float
    std: float | None
    min: float
    max: float
    jitter: float | None
    p50: float
    p90: float | None
    p99: float | None
    p99_9: float | None
    early_p90: float | None
    early_p99: float | None
    early_p99_9: float | None


def summarise(samples: Sequence[float] | npt.NDArray[np.float64]) -> Summary:
    """Statistics of samples in the order they were taken.

    Raises:
        InputError: there are none, or one is negative, NaN or infinite.
    """
    values = np.asarray(samples, np.float64)
    if values.ndim != 1 or values.size == 0:
        raise InputError("there are zero samples: nothing was measured", "let the loop run at least one iteration")
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise InputError("a sample is negative or not finite: the clock jumped", "measure again")
    ordered = np.sort(values)
    several = values.size > 1
    p90, p99, p99_9 = (_tail(ordered, thousandths) for thousandths in _TAILS)
    early_p90, early_p99, early_p99_9 = (estimate(ordered, thousandths) for thousandths in _TAILS)
    return Summary(
        count=values.size,
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if several else None,
        min=float(ordered[0]),
        max=float(ordered[-1]),
        jitter=float(np.abs(np.diff(values)).mean()) if several else None,
        p50=percentile(ordered, 500),
        p90=p90,
        p99=p99,
        p99_9=p99_9,
        early_p90=early_p90,
        early_p99=early_p99,
        early_p99_9=early_p99_9,
    )


def percentile(ordered: npt.NDArray[np.float64], thousandths: int) -> float:
    """The smallest sample that at least that share of all samples does not exceed (nearest rank; NumPy's "inverted_cdf").

    It is a latency that was seen, never one in between. The rank is counted in integers.

    Args:
        ordered: sorted samples, at least one.
        thousandths: 900 for p90, 999 for p99.9; from 1 to 1000.
    """
    rank = -(-ordered.size * thousandths // 1000)
    return float(ordered[rank - 1])


def _tail(ordered: npt.NDArray[np.float64], thousandths: int) -> float | None:
    return percentile(ordered, thousandths) if ordered.size >= LEAST_SAMPLES[thousandths] else None
