"""Several records on one page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

from videoscene_rt.bench.compare import differences
from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report.bars import Bar, bars
from videoscene_rt.bench.report.markup import Child, Markup, join, table, tag
from videoscene_rt.bench.report.numbers import NONE, ms, share
from videoscene_rt.bench.report.overview import marks
from videoscene_rt.bench.report.page import page
from videoscene_rt.bench.report.series import WORDS, samples_ms, words
from videoscene_rt.bench.report.svg import figure
from videoscene_rt.bench.report.tails import tails
from videoscene_rt.engines.errors import InputError

Named = tuple[str, Record]
_PARTS: tuple[Callable[[Path, Record], str], ...] = (
    lambda path, record: record.identity.runner,
    lambda path, record: record.identity.preset,
    lambda path, record: record.identity.device,
    lambda path, record: path.absolute().parent.name,
)
"""What a record's name is made of, one after the other, until the names differ."""


def named_records(given: Sequence[tuple[Path, Record]]) -> list[Named]:
    """A name for each record: what ran it, and where that is not enough the preset, the device, the folder, a number.

    Raises:
        InputError: there are fewer than two.
    """
    if len(given) < 2:
        raise InputError("one record is no comparison", "name two or more: vsrt bench --compare A B --out DIR")
    names = [""] * len(given)
    for part in _PARTS:
        names = [
            f"{name} · {part(path, record)}".removeprefix(" · ")
            for name, (path, record) in zip(names, given, strict=True)
        ]
        if len(set(names)) == len(names):
            break
    else:
        names = [f"{number} {name}" for number, name in enumerate(names, 1)]
    return [(name, record) for name, (_, record) in zip(names, given, strict=True)]


def compare_page(records: Sequence[Named], frames: Sequence[bytes | None]) -> str:
    """The page.

    Args:
        records: at least two, with their names; ratios are against the first.
        frames: of each, a JPEG of its frames, if there is one.

    Raises:
        InputError: they have no series in common.
    """
    name = common_series([record for _, record in records])
    parts: tuple[Child, ...] = (
        _header(records),
        _headline(records, name),
        _every_series(records),
        _stages(records),
        _rates(records),
        _frames(records, frames),
        _identities(records),
    )
    return page("Benchmarks side by side", join(*parts))


def common_series(records: Sequence[Record]) -> str:
    """The first series that all of them have, in the order of `WORDS` and then their own.

    Raises:
        InputError: there is none.
    """
    everywhere = set.intersection(*(set(record.statistics) for record in records))
    found = [name for name in (*WORDS, *sorted(everywhere)) if name in everywhere]
    if not found:
        raise InputError("the records have no series in common", "measure them in the same modes")
    return found[0]


def _header(records: Sequence[Named]) -> Markup:
    lines = []
    for number, (name, record) in enumerate(records):
        chips = (tag("span", told, class_=f"chip {kind}") for kind, told in marks(record))
        colour = tag("b", name, class_=f"k{number % 4}")
        lines.append(
            tag(
                "li",
                colour,
                " ",
                tag("span", f"{record.identity.device}, {record.created:%Y-%m-%d}", class_="faint"),
                tag("p", *chips, class_="chips"),
            )
        )
    return tag("header", tag("h1", "Benchmarks side by side"), tag("ul", *lines, class_="records"))


def _headline(records: Sequence[Named], name: str) -> Markup:
    first = records[0][1]
    rows, lines = [], []
    for number, (who, record) in enumerate(records):
        found = record.statistics[name]
        ratio, doubt = _ratio(first, record, name)
        rows.append(
            Bar(
                who,
                found.p50,
                f"{ms(found.p50)}{f' · {ratio}' if ratio and number else ''}",
                f"c{number % 4}",
                found.min,
                found.p90,
            )
        )
        if doubt:
            lines.append(tag("li", f"{who}: no ratio to the first, {doubt}"))
    kept = {who: samples for who, record in records if (samples := samples_ms(record, name))}
    parts: list[Child] = [
        tag("h2", words(name)[:1].upper() + words(name)[1:]),
        figure(
            lambda width: bars(rows, width, "Medians"),
            "Medians; the whisker is from the fastest sample to p90. How many times as fast as the first.",
        ),
        tag("ul", *lines) if lines else None,
    ]
    if len(kept) > 1:
        parts.append(figure(lambda width: tails(kept, width), "The tail: so many samples in a hundred were faster."))
    return tag("section", *parts)


def _ratio(first: Record, record: Record, name: str) -> tuple[str, str]:
    """How many times as fast as the first; or why there is nothing to say."""
    if record is first:
        return "", ""
    if odd := differences(first, record):
        return "", "; ".join(odd)
    slow, fast = first.statistics[name].p50, record.statistics[name].p50
    return (f"{slow / fast:.2f}×", "") if fast > 0 else ("", "a median of zero")


def _every_series(records: Sequence[Named]) -> Markup:
    rows: list[tuple[Child, ...]] = []
    names = dict.fromkeys(name for _, record in records for name in record.statistics)
    for name in sorted(names, key=lambda name: list(WORDS).index(name) if name in WORDS else len(WORDS)):
        for who, record in records:
            found = record.statistics.get(name)
            if found is not None:
                figures = (found.p50, found.p90, found.p99, found.max, found.jitter)
                rows.append((words(name), who, f"{found.count:,}", *map(ms, figures)))
    return tag(
        "section",
        tag("h2", "Every series"),
        table(("series", "record", "samples", "p50", "p90", "p99", "max", "jitter"), rows, 2),
    )


def _stages(records: Sequence[Named]) -> Markup | None:
    spans = {
        who: {span.stage: span.end_ms - span.start_ms for span in record.chain.stages}
        for who, record in records
        if record.chain is not None
    }
    stages = list(dict.fromkeys(stage for found in spans.values() for stage in found))
    if not stages:
        return None
    rows: list[tuple[Child, ...]] = [(stage, *(ms(found.get(stage)) for found in spans.values())) for stage in stages]
    return tag("section", tag("h2", "Stages within the step"), table(("stage", *spans), rows))


def _rates(records: Sequence[Named]) -> Markup | None:
    rows: list[tuple[Child, ...]] = []
    for who, record in records:
        found = record.rate
        if found is not None:
            age = record.statistics.get("rate.age")
            rows.append(
                (
                    who,
                    found.verdict,
                    f"{found.rate_hz:g} Hz",
                    f"{found.done:,} of {found.arrivals:,}",
                    f"{found.missed:,}",
                    share(found.unserved),
                    NONE if age is None else ms(age.p50),
                )
            )
    if not rows:
        return None
    return tag(
        "section",
        tag("h2", "At a fixed rate"),
        table(("record", "", "rate", "results", "late", "unserved", "age, p50"), rows, 2),
    )


def _frames(records: Sequence[Named], frames: Sequence[bytes | None]) -> Markup | None:
    parts: list[Child] = []
    for (who, _), found in zip(records, frames, strict=True):
        if found is not None:
            picture = tag("img", src=f"data:image/jpeg;base64,{b64encode(found).decode()}", alt=f"Frames of {who}")
            parts.append(tag("figure", tag("div", picture, class_="strip"), tag("figcaption", who)))
    return tag("section", tag("h2", "Frames"), *parts) if parts else None


def _identities(records: Sequence[Named]) -> Markup:
    rows: list[tuple[Child, ...]] = []
    fields = list(records[0][1].identity.model_dump())
    for field in fields:
        values = [str(getattr(record.identity, field)) for _, record in records]
        rows.append(
            (field if len(set(values)) == 1 else tag("b", f"{field} (differs)"), *(value[:40] for value in values))
        )
    rows.append(("inputs", *(record.inputs.source for _, record in records)))
    rows.append(("schema", *(str(record.schema_version) for _, record in records)))
    return tag(
        "section", tag("h2", "What was measured"), table(("", *(who for who, _ in records)), rows, len(records) + 1)
    )
