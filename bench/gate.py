"""A record held against an earlier one: like with like, and worse only where it is worse by a share and by an amount that matter.

Two kinds of figures. Times are compared between records of one identity on one machine. Counts and ratios (bytes copied, memory
planned, Python instructions, a step over the chain alone) hardly depend on how busy a machine is: with ``portable`` they alone are
compared, and the bundle, the device and the driver may differ, as long as the recipe is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from videoscene_rt.bench.record import Record
from videoscene_rt.engines.errors import InputError

Kind = Literal["time", "count", "ratio"]


@dataclass(frozen=True)
class Limit:
    """What a figure may grow by: worse is what exceeds both, a share of what it was and an amount in the figure's unit."""

    relative: float
    absolute: float


LIMITS: tuple[tuple[str, Limit], ...] = (
    ("p50", Limit(0.05, 0.02)),
    ("p90", Limit(0.10, 0.05)),
    ("p99", Limit(0.15, 0.20)),
    ("enqueue", Limit(0.20, 0.01)),
    ("unserved", Limit(0.10, 0.02)),
    ("bytes", Limit(0.02, 4096)),
    ("instructions", Limit(0.05, 200)),
    ("objects", Limit(0.25, 50)),
    ("operations", Limit(0.01, 1e6)),
    ("baseline", Limit(0.15, 0.01)),
    ("ratio", Limit(0.20, 0.15)),
)
"""By what is measured: percentiles in milliseconds, the host's part of a step, a share of arrivals, bytes, Python instructions, objects,
operations, ratios to a baseline and others."""


@dataclass(frozen=True)
class Finding:
    """One figure then and now. ``unit`` is "ms", "bytes", … or "" for a ratio."""

    what: str
    kind: Kind
    unit: str
    before: float
    now: float
    limit: Limit

    @property
    def worse(self) -> bool:
        """Whether both limits are exceeded."""
        grown = self.now - self.before
        return grown > self.limit.absolute and grown > self.limit.relative * abs(self.before)

    def shown(self, value: float) -> str:
        """A value in digits; counts in all of theirs."""
        return f"{value:,.0f}" if self.kind == "count" else f"{value:.4g}"

    @property
    def words(self) -> str:
        """What it was, what it is, and what is allowed."""
        grown = self.now - self.before
        share = f" ({grown / self.before:+.1%})" if self.before else ""
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{self.what} {self.shown(self.now)}{unit}, was {self.shown(self.before)}{share}; "
            f"allowed {self.limit.relative:+.0%} or {self.limit.absolute:+g}{unit}"
        )


def gate(now: Record, before: Record, *, portable: bool = False) -> tuple[Finding, ...]:
    """Every figure that both records have.

    Args:
        now, before: the records.
        portable: counts and ratios alone; see the module.

    Raises:
        InputError: recipe mismatch: they are not of the same thing, which is named with both sides; or they have no figure in common.
    """
    if odd := mismatch(now, before, portable=portable):
        raise InputError(f"recipe mismatch: {'; '.join(odd)}", "hold a record against one of the same recipe")
    figures = dict(_figures(before, portable))
    limits = dict(LIMITS)
    found = tuple(
        Finding(what, kind, unit, figures[what, kind, unit, limit], value, limits[limit])
        for (what, kind, unit, limit), value in _figures(now, portable)
        if (what, kind, unit, limit) in figures
    )
    if not found:
        raise InputError("the records have no figure in common", "measure both in the same modes, with samples enough")
    return found


def mismatch(now: Record, before: Record, *, portable: bool) -> list[str]:
    """What keeps two records from being like with like: one line each, the earlier record's side first."""
    mine, theirs = now.identity, before.identity
    names = ["preset", "graph", "backend", "precision", "mode"]
    if not portable:
        names = ["bundle_sha256", *names, "engine", "device"]
    rows = [(name, getattr(theirs, name), getattr(mine, name)) for name in names]
    rows.append(("inputs' shapes", before.inputs.specs_sha256[:16], now.inputs.specs_sha256[:16]))
    rows.append(("inputs", before.inputs.source, now.inputs.source))
    if not portable:
        rows.append(("driver", before.gpu and before.gpu.driver, now.gpu and now.gpu.driver))
        rows.append(("cores", before.host.cores_usable, now.host.cores_usable))
    if before.rate is not None and now.rate is not None:
        rows.append(("rate", before.rate.rate_hz, now.rate.rate_hz))
        rows.append(("deadline", before.rate.deadline_ms, now.rate.deadline_ms))
    return [f"{name} was {one}, is {other}" for name, one, other in rows if one != other]


def gate_table(found: tuple[Finding, ...]) -> str:
    """The findings in Markdown, what is worse first."""
    lines = ["| figure | was | is | change | allowed | |", "| --- | ---: | ---: | ---: | --- | --- |"]
    for one in sorted(found, key=lambda finding: not finding.worse):
        change = f"{(one.now - one.before) / one.before:+.1%}" if one.before else f"{one.now - one.before:+.4g}"
        allowed = f"{one.limit.relative:+.0%} or {one.limit.absolute:+g} {one.unit}".rstrip()
        cells = (
            one.what,
            f"{one.shown(one.before)} {one.unit}",
            f"{one.shown(one.now)} {one.unit}",
            change,
            allowed,
            "**worse**" if one.worse else "",
        )
        lines.append("| " + " | ".join(cell.strip() for cell in cells) + " |")
    return "\n".join(lines) + "\n"


_Key = tuple[str, Kind, str, str]


def _figures(record: Record, portable: bool) -> Iterator[tuple[_Key, float]]:
    if not portable:
        yield from _times(record)
    chain, costs = record.chain, record.costs
    if chain is not None:
        # Streams need memory of their own, so a chain that was loaded for them is not held against one that was not.
        arena = "arena" if record.stream is None else "arena, streams with it"
        yield (arena, "count", "bytes", "bytes"), float(chain.arena_bytes + chain.mapped_bytes)
        for way, count in chain.uploaded_bytes.items():
            yield (f"uploaded a step ({way})", "count", "bytes", "bytes"), float(count)
        if chain.growth is not None and chain.growth.device_bytes is not None:
            yield ("device memory kept by steps", "count", "bytes", "bytes"), float(chain.growth.device_bytes)
    if record.roofline is not None:
        for stage in record.roofline.stages:
            yield (f"operations of {stage.stage}", "count", "operations", "operations"), float(stage.operations)
    for one in record.baselines:
        if one.ratio is not None:
            yield (f"ours over {one.name}", "ratio", "", "baseline"), 1 / one.ratio[0]
    if costs is not None:
        python = record.host.system.rpartition("Python ")[2].rpartition(".")[0]
        for way, count in costs.bytecodes.items():
            # They are of one Python; between two, there is nothing to compare.
            yield (
                (f"Python {python} instructions a step ({way})", "count", "instructions", "instructions"),
                float(count),
            )
        if costs.python_transient_bytes is not None:
            yield ("Python's memory in a step", "count", "bytes", "bytes"), float(costs.python_transient_bytes)
        if costs.python_blocks is not None:
            yield ("objects left by a step", "count", "objects", "objects"), float(costs.python_blocks)
        if costs.step_over_chain is not None:
            yield ("step over the chain alone", "ratio", "", "ratio"), costs.step_over_chain[0]


def _times(record: Record) -> Iterator[tuple[_Key, float]]:
    for name, found in record.statistics.items():
        if name == "rate.wait":
            continue
        if name == "enqueue" and record.identity.device == record.host.processor:
            continue  # on the CPU the whole step is in it
        percentiles = (("p50", found.p50), ("p90", found.p90), ("p99", found.p99))
        for percentile, value in percentiles[:1] if name == "enqueue" else percentiles:
            if value is not None:
                limit = "enqueue" if name == "enqueue" else percentile
                yield (f"{name} {percentile}", "time", "ms", limit), value
    if record.rate is not None:
        yield ("arrivals unserved", "time", "", "unserved"), record.rate.unserved
