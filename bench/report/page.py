"""A record as one HTML page: no network, no script; the page itself forbids both."""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template

from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report import about, latency, loads, machine, overview, ratios, stages
from videoscene_rt.bench.report.markup import Child, Markup, join


def report_page(record: Record, frames: bytes | None = None) -> str:
    """The page.

    Args:
        record: what was measured.
        frames: a JPEG of the measured step's frames.
    """
    who = record.identity
    parts: tuple[Child, ...] = (
        overview.header(record),
        overview.tiles(record),
        about.notes(record),
        latency.latency(record),
        loads.rate(record),
        loads.stream(record, frames),
        stages.one_step(record),
        stages.by_stage(record),
        stages.projections(record),
        ratios.ratios(record),
        machine.beside(record),
        machine.memory(record),
        machine.start(record),
        about.about(record),
    )
    return page(f"{who.preset} · {who.backend} {who.precision} · benchmark", join(*parts))


def page(title: str, body: Markup) -> str:
    """A whole document around a body."""
    return Template(_data("page.html")).substitute(title=join(title), style=_data("style.css"), body=body)


@cache
def _data(name: str) -> str:
    return (resources.files("videoscene_rt.bench.report") / name).read_text(encoding="utf-8")
