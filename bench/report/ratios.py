"""A page's section on baselines: how many times as long they took, in turns with ours."""

from __future__ import annotations

from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report.bars import Bar, bars
from videoscene_rt.bench.report.markup import Child, Markup, table, tag
from videoscene_rt.bench.report.numbers import NONE, digits, ms
from videoscene_rt.bench.report.svg import figure


def ratios(record: Record) -> Markup | None:
    """The baselines that ran, and those that did not; None where none was asked for."""
    if not record.baselines:
        return None
    rows: list[tuple[Child, ...]] = []
    drawn, notes = [], []
    for one in record.baselines:
        found = one.ratio
        if found is None:
            rows.append((one.name, one.precision, NONE, NONE, NONE, NONE))
            notes.append(f"{one.name} did not run: {one.failure}")
            continue
        middle, low, high = found
        told = f"{middle:.2f}× ({low:.2f} to {high:.2f})"
        drawn.append(Bar(f"{one.name}, {one.precision}", middle, told, "c0" if middle >= 1 else "c1", low, high))
        theirs, ours = (sorted(getattr(turn, side) for turn in one.rounds) for side in ("baseline_ms", "subject_ms"))
        setup = NONE if one.setup_s is None else f"{digits(one.setup_s)} s"
        doubts = [one.doubt(record.output_rms), one.failure and f"broke off: {one.failure}"]
        figures = (f"{len(one.rounds)} × {one.steps}", ms(ours[len(ours) // 2]), ms(theirs[len(theirs) // 2]), setup)
        rows.append((one.name, one.precision, *figures))
        if said := "; ".join((*one.notes, *filter(None, doubts))):
            notes.append(f"{one.name}: {said}")
    parts: list[Child] = [tag("h2", "Baselines, in turns")]
    if drawn:
        caption = "How many times as long as ours, inputs in place: the median of the rounds A B A B, and the least and most of them."
        parts.append(figure(lambda width: bars(drawn, width, "Ratios to baselines", one=1.0), caption))
    parts.append(table(("baseline", "precision", "rounds × steps", "ours", "theirs", "until its first step"), rows, 2))
    if notes:
        parts.append(tag("ul", *(tag("li", note, class_="faint") for note in notes)))
    return tag("section", *parts)
