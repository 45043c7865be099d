"""The latencies of a record: distribution, course, tail, and every series as a table."""

from __future__ import annotations

from collections.abc import Sequence

from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report.distribution import histograms, run_chart
from videoscene_rt.bench.report.markup import Child, Markup, join, table, tag
from videoscene_rt.bench.report.numbers import ms
from videoscene_rt.bench.report.series import ordered, samples_ms, words
from videoscene_rt.bench.report.svg import figure
from videoscene_rt.bench.report.tails import tails

_SHOWN = ("step.scene", "device", "host")
_EARLY = (
    "* p90 takes 64 samples, p99 662, p99.9 6,636. “At most” is an estimate by early stopping: the bound that so few samples allow, "
    "99 % sure. It follows MLPerf inference's rule; these are no MLPerf results."
)


def latency(record: Record) -> Markup:
    """Closed loop: the next step starts when the one before is done."""
    names = [name for name in ordered(record) if not name.startswith(("rate.", "stream."))]
    if record.gpu is None and "host" in names:
        names = [name for name in names if name != "enqueue"]  # on the CPU the call is the whole step
    shown = [name for name in _SHOWN if samples_ms(record, name)]
    if "device" in shown:
        shown = [name for name in shown if name != "host"]
    kept = {name: samples for name in shown if (samples := samples_ms(record, name))}
    parts: list[Child] = [tag("h2", "Latency in a closed loop")]
    if kept:
        drawn = {words(name): (samples, record.statistics[name]) for name, samples in kept.items()}
        first = next(iter(kept.values()))
        parts += [
            figure(lambda width: histograms(drawn, width), "How often each latency was seen."),
            figure(
                lambda width: tails({words(name): s for name, s in kept.items()}, width),
                "The tail: so many samples in a hundred were faster.",
            ),
            figure(lambda width: run_chart(first, width), f"Every sample in its order: {words(next(iter(kept)))}."),
        ]
    parts += [statistics_table(record, names), tag("p", _EARLY, class_="faint")]
    return tag("section", *parts)


def statistics_table(record: Record, names: Sequence[str]) -> Markup:
    """Every figure that may be given of each series."""
    rows: list[tuple[Child, ...]] = []
    for name in names:
        found = record.statistics[name]
        both = [
            _with_bound(found.p90, found.early_p90),
            _with_bound(found.p99, found.early_p99),
            _with_bound(found.p99_9, found.early_p99_9),
        ]
        spread = (ms(found.min), ms(found.max), ms(found.mean), ms(found.std), ms(found.jitter))
        rows.append((words(name), f"{found.count:,}", ms(found.p50), *both, *spread))
    head = ("series", "samples", "p50", "p90", "p99", "p99.9", "min", "max", "mean", "std", "jitter")
    return table(head, rows)


def _with_bound(value: float | None, bound: float | None) -> Child:
    if value is None or bound is None:
        return ms(value)
    return join(ms(value), tag("small", f"≤ {ms(bound)} *", class_="under"))
