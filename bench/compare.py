"""Records side by side: ratios of like with like, as a Markdown table: ``python -m videoscene_rt.bench.compare RECORD…``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from videoscene_rt.bench.baselines.facts import RMS_LIMIT
from videoscene_rt.bench.record import Record, read_record
from videoscene_rt.engines.errors import InputError, VsrtError


@dataclass(frozen=True)
class Ratio:
    """How many times as long the baseline took: ``value`` of the medians.

    ``low`` and ``high``: the least and the most that it can be over the middle of both runs (fastest sample of one over p90 of the
    other); None where either has too few samples for a p90. ``doubt``: what speaks against the comparison, or "".
    """

    value: float
    low: float | None
    high: float | None
    doubt: str = ""


def differences(one: Record, other: Record) -> list[str]:
    """What keeps two records from being a comparison of two runners on the same work: one line each, both sides named."""
    rows = [
        ("bundle", one.identity.bundle_sha256[:12], other.identity.bundle_sha256[:12]),
        ("graph", one.identity.graph, other.identity.graph),
        ("device", one.identity.device, other.identity.device),
        ("inputs' shapes", one.inputs.specs_sha256[:12], other.inputs.specs_sha256[:12]),
        ("inputs", one.inputs.source, other.inputs.source),
        ("driver", one.gpu and one.gpu.driver, other.gpu and other.gpu.driver),
    ]
    return [f"{what}: {mine} and {theirs}" for what, mine, theirs in rows if mine != theirs]


def ratio(baseline: Record, subject: Record, series: str = "host") -> Ratio:
    """The baseline's time over the subject's: above 1, the subject is faster.

    Raises:
        InputError: they are not like with like, or one lacks the series or took no time at all.
    """
    if odd := differences(baseline, subject):
        raise InputError(
            f"these records cannot be compared: {'; '.join(odd)}", "measure both on the same bundle and machine"
        )
    for record in (baseline, subject):
        if series not in record.statistics:
            raise InputError(f"the record of {record.identity.runner} has no series {series!r}")
    slow, fast = baseline.statistics[series], subject.statistics[series]
    if fast.min <= 0:
        raise InputError(
            f"the record of {subject.identity.runner} has a sample of zero: its clock is too coarse for this"
        )
    return Ratio(
        value=slow.p50 / fast.p50,
        low=None if fast.p90 is None else slow.min / fast.p90,
        high=None if slow.p90 is None else slow.p90 / fast.min,
        doubt=_doubt(baseline, subject),
    )


def markdown(records: Sequence[Record], subject: str, series: str = "host") -> str:
    """A table: a line for each graph and runner, median and p90, and how many times as fast the subject is.

    Args:
        records: of one bundle and device.
        subject: the start of a runner's name: "tensorrt fp16". A graph without such a record gets no ratios. Where several fit,
            the fastest is taken.
        series: "host", "device".

    Raises:
        InputError: there are no records, or a pair is not like with like.
    """
    if not records:
        raise InputError("there are no records to compare")
    lines = [
        f"| graph | runner | p50, ms ({series}) | p90, ms | the subject ({subject}) is faster by | notes |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    for graph in dict.fromkeys(record.identity.graph for record in records):
        group = [record for record in records if record.identity.graph == graph and series in record.statistics]
        fitting = [record for record in group if record.identity.runner.startswith(subject)]
        chosen = min(fitting, key=lambda record: record.statistics[series].p50, default=None)
        lines += [_row(record, chosen, series) for record in sorted(group, key=lambda r: r.statistics[series].p50)]
    return "\n".join(lines) + "\n"


def _row(record: Record, subject: Record | None, series: str) -> str:
    statistics = record.statistics[series]
    notes = list(record.notes)
    if subject is None or record is subject:
        times = "subject" if record is subject else "–"
    else:
        found = ratio(record, subject, series)
        spread = "" if found.low is None or found.high is None else f" ({found.low:.2f} to {found.high:.2f})"
        times = f"{found.value:.2f}×{spread}"
        notes += [found.doubt] if found.doubt else []
    p90 = "–" if statistics.p90 is None else _ms(statistics.p90)
    cells = (record.identity.graph, record.identity.runner, _ms(statistics.p50), p90, times, "; ".join(notes))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _ms(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _doubt(one: Record, other: Record) -> str:
    for name, mine in one.output_rms.items():
        theirs = other.output_rms.get(name)
        if mine is None or theirs is None or abs(mine - theirs) > RMS_LIMIT * max(abs(mine), abs(theirs)):
            return f"output {name} differs: RMS {mine} and {theirs}"
    return ""


def load(paths: Iterable[str]) -> list[Record]:
    """Read records; see `read_record`."""
    return [read_record(path) for path in paths]


def main(argv: Sequence[str]) -> int:
    """``[--subject RUNNER] [--series host] RECORD…`` → a table on standard output."""
    import argparse

    parser = argparse.ArgumentParser(prog="compare", description="Put benchmark records side by side.")
    parser.add_argument("records", nargs="+")
    parser.add_argument("--subject", default="tensorrt", help="start of a runner's name; ratios are against it")
    parser.add_argument("--series", default="host", help="host, device or enqueue")
    options = parser.parse_args(argv)
    try:
        sys.stdout.write(markdown(load(options.records), options.subject, options.series))
    except VsrtError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
