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
    lines += ["", *(f"- **failed**: {_plain(name)}: {_plain(why)}" for name, why in record.failures.items())]
    lines += [*(f"- {_plain(note)}" for note in record.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
