"""A record as a Markdown table, short enough for a pull request."""

from __future__ import annotations

from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report.numbers import ms
from videoscene_rt.bench.report.overview import marks
from videoscene_rt.bench.report.series import ordered


def markdown_table(record: Record) -> str:
    """Every series, what speaks for and against the figures, the notes."""
    who = record.identity
    lines = [
        f"**{_plain(who.preset)}**, {_plain(who.runner)}, {_plain(who.device)}: {'; '.join(_plain(told) for _, told in marks(record))}",
        "",
        "| series | samples | p50 | p90 | p99 | p99.9 | max | jitter |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in ordered(record):
        found = record.statistics[name]
        figures = (found.p50, found.p90, found.p99, found.p99_9, found.max, found.jitter)
        lines.append(f"| {' | '.join((f'`{name}`', f'{found.count:,}', *map(ms, figures)))} |")
    lines += _baselines(record)
    lines += ["", *(f"- **failed**: {_plain(name)}: {_plain(why)}" for name, why in record.failures.items())]
    lines += [*(f"- {_plain(note)}" for note in record.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _baselines(record: Record) -> list[str]:
    """How many times as long each baseline took in the same run, in turns with ours; nothing where there was none."""
    rows = []
    for one in record.baselines:
        if one.ratio is None:
            rows.append(f"| {_plain(one.name)} | {_plain(one.precision)} | did not run: {_plain(one.failure)} | |")
            continue
        middle, low, high = one.ratio
        rows.append(
            f"| {_plain(one.name)} | {_plain(one.precision)} | {middle:.2f}× ({low:.2f} to {high:.2f}) | {len(one.rounds)} × {one.steps} |"
        )
    head = ["", "| baseline, in turns | precision | times as long | rounds × steps |", "| --- | --- | ---: | ---: |"]
    return [*head, *rows] if rows else []


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
