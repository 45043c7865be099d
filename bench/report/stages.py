"""A page's sections on one step: when each stage ran, how long each takes by itself, and what ran at once."""

from __future__ import annotations

from videoscene_rt.bench.overlap import StageSpan
from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report.bars import Bar, bars
from videoscene_rt.bench.report.markup import Child, Markup, table, tag
from videoscene_rt.bench.report.numbers import NONE, digits, ms, size
from videoscene_rt.bench.report.svg import figure
from videoscene_rt.bench.report.timeline import timeline
from videoscene_rt.bench.roofline.facts import RooflineFacts
from videoscene_rt.bench.roofline.projection import ASSUMPTIONS, project
from videoscene_rt.bench.step_facts import StageFacts


def one_step(record: Record) -> Markup | None:
    """The timeline; None where no stage was timed."""
    chain = record.chain
    if chain is None or not chain.stages:
        return None
    one = chain.timeline_repeats == 1
    what, how = (
        ("replay", " of its graph, with an event around every stage") if chain.captured else ("run", ", stage by stage")
    )
    times = f"Of one {what}" if one else f"Medians over {chain.timeline_repeats} {what}s"
    parts: list[Child] = [
        tag("h2", "One step by lane"),
        figure(
            lambda width: timeline(chain.stages, width),
            f"{times}{how}. Shaded: two or more at once.",
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
    floors = _floors(record)
    rows = [stage_bar(span, floors.get(span.stage)) for span in found.uncaptured]
    how = "not captured, with an event around every stage" if found.captured else "one after the other"
    parts: list[Child] = [
        tag("h2", "Stages"),
        figure(
            lambda width: bars(rows, width, "Time of each stage"),
            f"How long each stage takes, {how}: medians.{_FLOOR if floors else ''}",
        ),
        tag("p", _sum_words(record)),
    ]
    if record.roofline is not None:
        parts += [
            _roofline_table(record.roofline, found),
            tag("p", f"Rates of {record.roofline.rates.device}, {_rates(record)}.", class_="faint"),
        ]
    return tag("section", *parts)


def projections(record: Record) -> Markup | None:
    """Devices that were not measured; None without a roofline."""
    found, stages = record.roofline, record.stages
    if found is None or stages is None:
        return None
    took = {span.stage: span.end_ms - span.start_ms for span in stages.uncaptured}
    projected = project(found, took, record.identity.precision, like=record.gpu is not None)
    rows: list[tuple[Child, ...]] = [
        (one.device, one.precision, ms(one.floor_ms), ms(one.stretched_ms)) for one in projected
    ]
    if not rows:
        return None
    sources = dict.fromkeys(f"{one.device}: {one.how}." for one in projected)
    return tag(
        "section",
        tag("h2", "Projection to other devices ", tag("span", "not measured", class_="chip bad")),
        table(("device", "precision", "roofline, a step", "at this run's efficiency"), rows, 2),
        tag("p", ASSUMPTIONS, class_="faint"),
        tag("ul", *(tag("li", source, class_="faint") for source in sources)),
    )


def stage_bar(span: StageSpan, floor: float | None = None) -> Bar:
    """A stage as a bar, with a mark at its roofline."""
    takes = span.end_ms - span.start_ms
    times = f" · {digits(takes / floor)}×" if floor else ""
    return Bar(span.stage, takes, f"{ms(takes)}{times}", f"c{span.lane % 4}", floor=floor)


def _floors(record: Record) -> dict[str, float]:
    if record.roofline is None:
        return {}
    found = ((stage.stage, stage.floor_ms(record.roofline.rates)) for stage in record.roofline.stages)
    return {name: floor for name, floor in found if floor is not None}


def _roofline_table(found: RooflineFacts, stages: StageFacts) -> Markup:
    took = {span.stage: span.end_ms - span.start_ms for span in stages.uncaptured}
    rows: list[tuple[Child, ...]] = []
    for stage in found.stages:
        floor = stage.floor_ms(found.rates)
        ratio = f"{digits(took[stage.stage] / floor)}×" if floor and stage.stage in took else NONE
        work = (
            f"{digits(stage.operations / 1e9)} G",
            size(stage.least_bytes()),
            ms(floor),
            stage.bound(found.rates) or NONE,
        )
        rows.append((stage.stage, stage.precision, *work, ms(took.get(stage.stage)), ratio))
    return table(("stage", "precision", "operations", "least bytes", "roofline", "bound by", "takes", "times"), rows, 2)


def _rates(record: Record) -> str:
    rates = None if record.roofline is None else record.roofline.rates
    if rates is None:
        return ""
    speeds = ", ".join(f"{name} {digits(rate / 1e12)} TFLOP/s" for name, rate in rates.operations_per_s.items())
    return f"{rates.how}: {digits(rates.bytes_per_s / 1e9)} GB/s; {speeds}"


_FLOOR = " The mark is the roofline, what its operations or its bytes take at the rates below; how many times that the stage takes."


def _sum_words(record: Record) -> str:
    found = record.stages
    if found is None:
        return ""
    whole = "the captured step" if found.captured else "the step"
    ratio = found.whole_over_sum
    told = "" if ratio is None else f", {digits(ratio)} of that"
    return f"All stages add up to {ms(found.sum_ms)}; {whole} takes {ms(found.whole_ms)}{told}."
