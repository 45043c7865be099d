"""The top of a page: what was measured, whether it can be trusted, and the figures that everybody looks for first."""

from __future__ import annotations

from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report.markup import Child, Markup, tag
from videoscene_rt.bench.report.numbers import NONE, digits, ms
from videoscene_rt.bench.report.series import headline, words

OVERHEAD_LIMIT_US = 20.0
"""What the harness may take of a step."""


def header(record: Record) -> Markup:
    """Title and marks."""
    who = record.identity
    return tag(
        "header",
        tag("h1", f"{who.preset} · {who.backend} {who.precision}"),
        tag("p", f"{who.device} · {record.created:%d %B %Y, %H:%M} UTC · {who.mode}", class_="faint"),
        tag("p", *(tag("span", told, class_=f"chip {kind}") for kind, told in marks(record)), class_="chips"),
    )


def marks(record: Record) -> list[tuple[str, str]]:
    """What speaks for and against the figures: (good, bad or plain; words)."""
    found = [("bad", f"failed: {', '.join(record.failures)}")] if record.failures else []
    found.append(_settled(record))
    if record.beside is not None:
        if record.beside.throttled:
            found.append(("bad", f"throttled: {', '.join(record.beside.throttling)}"))
        elif record.beside.sampler:
            found.append(("good", "not throttled"))
    if record.overhead_us is not None:
        kind = "good" if record.overhead_us <= OVERHEAD_LIMIT_US else "bad"
        found.append((kind, f"harness {digits(record.overhead_us)} µs a step"))
    if record.rate is not None:
        kind = {"met": "good", "missed at times": "plain", "not met": "bad"}[record.rate.verdict]
        found.append((kind, f"{record.rate.rate_hz:g} Hz {record.rate.verdict}"))
    if record.costs is not None and record.chain is not None:
        found.append(("plain", "one graph a step" if record.chain.captured else "stage by stage"))
    return found


def tiles(record: Record) -> Markup:
    """The headline's percentiles, and what else stands for a step in one number."""
    name = headline(record)
    found = record.statistics[name]
    rows: list[tuple[str, str, Child]] = [
        ("median", ms(found.p50), words(name)),
        ("p90", ms(found.p90), _at_most(found.early_p90) if found.p90 is not None else "takes 64 samples"),
        ("p99", ms(found.p99), _at_most(found.early_p99) if found.p99 is not None else "takes 662 samples"),
        ("p99.9", ms(found.p99_9), _at_most(found.early_p99_9) if found.p99_9 is not None else "takes 6,636 samples"),
        ("max", ms(found.max), f"of {found.count:,} samples"),
        ("jitter", ms(found.jitter), f"std {ms(found.std)}"),
    ]
    if record.stream is not None:
        rate = record.stream.frames_per_second
        rows.append(("frames a second", NONE if rate is None else digits(rate), f"in groups of {record.stream.group}"))
    if record.beside is not None and record.beside.energy is not None:
        energy = record.beside.energy
        rows.append(("energy a step", f"{digits(energy.joules_per_step)} J", f"{digits(energy.watts)} W, {energy.of}"))
    parts = [tag("div", tag("span", name), tag("b", value), tag("small", more)) for name, value, more in rows]
    return tag("section", *parts, class_="tiles")


def _settled(record: Record) -> tuple[str, str]:
    drift = record.settling.drift
    if record.settling.settled:
        return ("good", f"settled, drift {drift:+.1%}" if drift is not None else "settled")
    return ("bad", "too short to tell whether it settled" if drift is None else f"not settled, drift {drift:+.1%}")


def _at_most(value: float | None) -> str:
    return "" if value is None else f"at most {ms(value)} *"
