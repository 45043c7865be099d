"""A page's sections on one step: when each stage ran, how long each takes by itself, and what ran at once."""

from __future__ import annotations

from videoscene_rt.bench.overlap import StageSpan
from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report.bars import Bar, bars
from videoscene_rt.bench.report.markup import Child, Markup, table, tag
from videoscene_rt.bench.report.numbers import digits, ms
from videoscene_rt.bench.report.svg import figure
from videoscene_rt.bench.report.timeline import timeline


def one_step(record: Record) -> Markup | None:
    """The timeline; None where no stage was timed."""
    chain = record.chain
    if chain is None or not chain.stages:
        return None
    how = "replays of its graph, with an event around every stage" if chain.captured else "runs, stage by stage"
    parts: list[Child] = [
        tag("h2", "One step by stream"),
        figure(
            lambda width: timeline(chain.stages, width),
            f"Medians over {chain.timeline_repeats} {how}. Shaded: two or more at once.",
        ),
    ]
    seen = chain.overlap
    if seen is not None:
        parts.append(
            tag(
                "p",
                f"From the first start to the last end {ms(seen.span_ms)}; all stages one after the other {ms(seen.busy_ms)}; "
                f"two or more at once for {ms(seen.at_once_ms)}, none for {ms(seen.idle_ms)}.",
            )
        )
    rows: list[tuple[Child, ...]] = [
        (f"{number} {span.stage}", str(span.lane), ms(span.start_ms), ms(span.end_ms), ms(span.end_ms - span.start_ms))
        for number, span in enumerate(chain.stages, 1)
    ]
    parts.append(table(("stage", "lane", "start", "end", "takes"), rows))
    return tag("section", *parts)


def by_stage(record: Record) -> Markup | None:
    """Stages by themselves; None where there are none."""
    found = record.stages
    if found is None or not found.uncaptured:
        return None
    rows = [stage_bar(span) for span in found.uncaptured]
    how = "not captured, with an event around every stage" if found.captured else "one after the other"
    parts: list[Child] = [
        tag("h2", "Stages"),
        figure(lambda width: bars(rows, width, "Time of each stage"), f"How long each stage takes, {how}: medians."),
        tag("p", _sum_words(record)),
    ]
    return tag("section", *parts)


def stage_bar(span: StageSpan) -> Bar:
    """A stage as a bar."""
    takes = span.end_ms - span.start_ms
    return Bar(span.stage, takes, ms(takes), f"c{span.lane % 4}")


def _sum_words(record: Record) -> str:
    found = record.stages
    if found is None:
        return ""
    whole = "the captured step" if found.captured else "the step"
    ratio = found.whole_over_sum
    told = "" if ratio is None else f", {digits(ratio)} of that"
    return f"All stages add up to {ms(found.sum_ms)}; {whole} takes {ms(found.whole_ms)}{told}."
