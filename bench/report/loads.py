"""A page's sections on the fixed rate and on frames as they come."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report.distribution import run_chart
from videoscene_rt.bench.report.latency import statistics_table
from videoscene_rt.bench.report.markup import Child, Markup, facts, tag
from videoscene_rt.bench.report.numbers import digits, ms, share
from videoscene_rt.bench.report.series import ordered, samples_ms
from videoscene_rt.bench.report.svg import figure


def rate(record: Record) -> Markup | None:
    """Periodic arrivals; None where that was not measured."""
    found = record.rate
    if found is None:
        return None
    ages = samples_ms(record, "rate.age")
    parts: list[Child] = [
        tag("h2", f"At {found.rate_hz:g} Hz: {found.verdict}"),
        facts(
            [
                ("arrivals", f"{found.arrivals:,}, one every {ms(1000 / found.rate_hz)}"),
                ("results", f"{found.done:,}, {found.missed:,} of them after the deadline of {ms(found.deadline_ms)}"),
                ("dropped", f"{found.dropped:,}: replaced by a newer input before they were taken"),
                ("unserved", f"{share(found.unserved)} of the arrivals were dropped or late"),
                ("harness", f"{digits(found.overhead_us)} µs for an arrival"),
            ]
        ),
    ]
    if ages:
        caption = "The age of each result when it was there, counted from its input's arrival."
        parts.append(figure(lambda width: run_chart(ages, width, found.deadline_ms, "deadline"), caption))
    parts.append(statistics_table(record, [name for name in ordered(record) if name.startswith("rate.")]))
    return tag("section", *parts)


def stream(record: Record, frames: bytes | None) -> Markup | None:
    """Frames as they come, and the frames themselves; None where there is neither.

    Args:
        record: the record.
        frames: a JPEG of them.
    """
    found = record.stream
    if found is None and frames is None:
        return None
    parts: list[Child] = [tag("h2", "Frames")]
    if found is not None:
        first = record.statistics.get("stream.first-frame")
        rows: Mapping[str, Child] = {
            "first frame": None if first is None else f"{ms(first.p50)} after the call (median)",
            "in a long run": None
            if found.frames_per_second is None
            else f"{digits(found.frames_per_second)} frames a second, {found.together} steps in flight",
            "how they come": found.how,
        }
        parts += [facts(list(rows.items()))]
    if frames is not None:
        source = f"data:image/jpeg;base64,{b64encode(frames).decode()}"
        picture = tag("img", src=source, alt="Coarse frames over refined frames, in their order")
        parts.append(
            tag(
                "figure",
                tag("div", picture, class_="strip"),
                tag("figcaption", "Above the rendered cloud, below the refined frames."),
            )
        )
    if found is not None:
        parts.append(statistics_table(record, [name for name in ordered(record) if name.startswith("stream.")]))
    return tag("section", *parts)
