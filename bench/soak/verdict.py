"""Whether anything grew, drifted or differed: what a log says, held against limits."""

from __future__ import annotations

import numpy as np

from videoscene_rt.bench.closed_loop import Samples
from videoscene_rt.bench.percentiles import LEAST_SAMPLES, percentile
from videoscene_rt.bench.soak.facts import Finding, SoakSettings
from videoscene_rt.bench.soak.limits import Limits
from videoscene_rt.bench.soak.log import Log
from videoscene_rt.bench.step_facts import RateFacts
from videoscene_rt.counters import Counters

_MIB = 2**20
_FEWEST_LOOKS, _FEWEST_FOR_P50 = 8, 64


def findings(
    log: Log, limits: Limits, settings: SoakSettings, counters: Counters, rate: RateFacts | None
) -> tuple[Finding, ...]:
    """Every limit, and whether it was kept so far."""
    after = settings.warmup_s
    steps = log.step_ms(after)
    found = [
        _output(log),
        _host(log.of_looks("resident_bytes", after), limits),
        _count("Python's memory blocks", log.of_looks("python_blocks", after), limits.python_blocks),
        _device(log.of_looks("device_free_bytes", after), limits),
        _count("threads", log.of_looks("threads", after), limits.threads),
        _count("open files", log.of_looks("open_files", after), limits.open_files),
        _drift("p50", steps, 500, _FEWEST_FOR_P50, limits.p50_share, limits.p50_ms),
        _drift("p99", steps, 990, LEAST_SAMPLES[990], limits.p99_share, limits.p99_ms),
        _steps(counters, limits),
    ]
    return (*found, _rate(rate, limits)) if rate is not None else tuple(found)


def growth(values: Samples) -> tuple[float, float] | None:
    """Medians of the first and of the last quarter; None of fewer than eight values."""
    if values.size < _FEWEST_LOOKS:
        return None
    quarter = values.size // 4
    return float(np.median(values[:quarter])), float(np.median(values[-quarter:]))


def _output(log: Log) -> Finding:
    output = log.output
    if output.unequal:
        said = f"{output.unequal:,} of {output.compared:,} differ from the first one, the first: {output.first_unequal}"
        return Finding(name="output", held=False, said=said)
    if not output.compared:
        return Finding(name="output", held=None, said="nothing was compared")
    return Finding(name="output", held=True, said=f"{output.compared:,} equal to the first one, bit by bit")


def _host(values: Samples | None, limits: Limits) -> Finding:
    name = "host memory"
    if values is None:
        return Finding(name=name, held=None, said="there is no /proc/self/statm on this system")
    ends = growth(values)
    if ends is None:
        return _too_few(name, values)
    more, share = ends[1] - ends[0], ends[1] / ends[0] - 1 if ends[0] > 0 else 0.0
    said = (
        f"{more / _MIB:+.1f} MiB ({share:+.1%}), of {ends[0] / _MIB:.0f}; "
        f"the limits are {limits.host_mib:g} MiB and {limits.host_share:.0%}"
    )
    return Finding(name=name, held=more <= limits.host_mib * _MIB and share <= limits.host_share, said=said)


def _device(free: Samples | None, limits: Limits) -> Finding:
    name = "device memory"
    if free is None:
        return Finding(name=name, held=None, said="this device does not say")
    ends = growth(free)
    if ends is None:
        return _too_few(name, free)
    more = (ends[0] - ends[1]) / _MIB
    return Finding(
        name=name, held=more <= limits.device_mib, said=f"{more:+.1f} MiB; the limit is {limits.device_mib:g} MiB"
    )


def _count(name: str, values: Samples | None, limit: int) -> Finding:
    if values is None:
        return Finding(name=name, held=None, said="this system does not say")
    ends = growth(values)
    if ends is None:
        return _too_few(name, values)
    more = ends[1] - ends[0]
    return Finding(name=name, held=more <= limit, said=f"{more:+,.0f}, of {ends[0]:,.0f}; the limit is {limit:,}")


def _too_few(name: str, values: Samples) -> Finding:
    return Finding(
        name=name,
        held=None,
        said=f"{values.size} looks after the warm-up; it takes {_FEWEST_LOOKS} to tell growth",
    )


def _drift(name: str, steps: Samples, thousandths: int, fewest: int, share: float, amount_ms: float) -> Finding:
    quarter = steps.size // 4
    if quarter < fewest:
        said = f"{quarter:,} steps in a quarter of the time after the warm-up; it takes {fewest:,}"
        return Finding(name=name, held=None, said=said)
    first, last = (percentile(np.sort(part), thousandths) for part in (steps[:quarter], steps[-quarter:]))
    drift = last / first - 1 if first > 0 else 0.0
    said = f"{first:.3f} ms, then {last:.3f} ms ({drift:+.1%}); the limits are {share:.0%} and {amount_ms:g} ms"
    return Finding(name=name, held=not (drift > share and last - first > amount_ms), said=said)


def _steps(counters: Counters, limits: Limits) -> Finding:
    bad = {"invalid": counters.invalid, "failed": counters.failed, "hung": counters.hangs}
    told = ", ".join(f"{count:,} {what}" for what, count in bad.items() if count) or "none invalid, failed or hung"
    return Finding(
        name="steps", held=sum(bad.values()) <= limits.bad_steps, said=f"{told}; the limit is {limits.bad_steps:,}"
    )


def _rate(rate: RateFacts, limits: Limits) -> Finding:
    said = (
        f"of {rate.arrivals:,} inputs at {rate.rate_hz:g} Hz {rate.dropped:,} were dropped for a newer one and {rate.missed:,} "
        f"answered after {rate.deadline_ms:.4g} ms; the limit is {limits.unserved_share:.0%}"
    )
    return Finding(name="rate", held=rate.unserved <= limits.unserved_share, said=said)
