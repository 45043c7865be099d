"""A page's sections on the machine, on memory and copies, and on starting."""

from __future__ import annotations

from collections.abc import Sequence

from videoscene_rt.bench.beside.facts import Beside, Moment
from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report.markup import Child, Markup, facts, table, tag
from videoscene_rt.bench.report.numbers import digits, ms, share, size
from videoscene_rt.bench.report.svg import Scale, bottom_axis, figure, left_axis, path, rect, svg, text

_CURVES = (("clock_mhz", "clock, MHz"), ("temperature_c", "temperature, °C"), ("power_w", "power, W"))
_HEIGHT, _LEFT, _RIGHT = 118, 56, 14


def beside(record: Record) -> Markup | None:
    """What the machine did during the run; None where nobody looked."""
    found = record.beside
    if found is None:
        return None
    parts: list[Child] = [tag("h2", "The machine beside the run"), facts(_facts(found))]
    kept = [
        (name, word) for name, word in _CURVES if sum(getattr(moment, name) is not None for moment in found.moments) > 1
    ]
    if kept:
        caption = f"As {found.sampler} said, from a process of its own; 0 s is the first step of the closed loop. Red: clocks held down."
        parts.append(figure(lambda width: curves(found.moments, kept, width), caption))
    return tag("section", *parts)


def curves(moments: Sequence[Moment], kept: Sequence[tuple[str, str]], width: int) -> Markup:
    """One small plot a quantity over one axis of seconds, each from zero."""
    along = Scale(moments[0].at_s, max(moments[-1].at_s, moments[0].at_s + 1e-3), _LEFT, width - _RIGHT)
    parts: list[Markup] = []
    for row, (name, word) in enumerate(kept):
        known = [(moment.at_s, float(getattr(moment, name))) for moment in moments if getattr(moment, name) is not None]
        top, bottom = row * _HEIGHT + 26, (row + 1) * _HEIGHT - 14
        up = Scale(0.0, max(value for _, value in known) * 1.15 or 1.0, bottom, top)
        parts += left_axis(up, _LEFT, width - _RIGHT, "", 2)
        parts.append(text(_LEFT, top - 8, word, "t strong"))
        parts.append(path([(along(at), up(value)) for at, value in known], f"curve s{row % 4}"))
        parts += [
            rect(along(m.at_s) - 1, top, 2, bottom - top, "held", ", ".join(m.throttling))
            for m in moments
            if m.throttling
        ]
    bottom = len(kept) * _HEIGHT - 8
    return svg(width, bottom + 36, "The machine during the run", *parts, *bottom_axis(along, bottom, "s"))


def memory(record: Record) -> Markup | None:
    """Memory, copies and what a step leaves behind; None where nothing is known of them."""
    costs, chain = record.costs, record.chain
    if costs is None and chain is None:
        return None
    rows: list[tuple[str, Child]] = []
    if chain is not None:
        rows += [
            (
                "arena",
                f"{size(chain.arena_bytes)} on the device, {size(chain.mapped_bytes)} on the host; {chain.slots} slots, {chain.memory}",
            ),
            (
                "device memory, loading",
                None if chain.device_bytes is None else f"{size(chain.device_bytes)}, engines and CUDA's own included",
            ),
            ("copied to the device", _ways(chain.uploaded_bytes)),
            (
                "copied to the host",
                None if not chain.downloaded_bytes else f"{size(chain.downloaded_bytes)}, when it is asked for",
            ),
        ]
        if chain.growth is not None:
            grown = chain.growth
            device = "" if grown.device_bytes is None else f"{grown.device_bytes:,} bytes of device memory, "
            rows.append((f"kept after {grown.steps:,} steps", f"{device}{grown.python_bytes:,} bytes of Python's"))
    if costs is not None:
        rows += [
            ("process, at most", None if costs.process_peak_bytes is None else size(costs.process_peak_bytes)),
            (
                "device in use, at most",
                None
                if costs.device_peak_bytes is None
                else f"{size(costs.device_peak_bytes)} more than before it was loaded",
            ),
            (
                "Python's memory in a step",
                None if costs.python_transient_bytes is None else f"{size(costs.python_transient_bytes)}, given back",
            ),
            ("objects left by a step", None if costs.python_blocks is None else f"{costs.python_blocks:,}"),
            ("Python instructions a step", _counts(costs.bytecodes)),
        ]
        if costs.step_over_chain is not None:
            middle, low, high = costs.step_over_chain
            rows.append(
                ("step over the chain alone", f"{middle:.3f}× (half of the pairs between {low:.3f} and {high:.3f})")
            )
    return tag("section", tag("h2", "Memory and copies"), facts(rows))


def start(record: Record) -> Markup | None:
    """How long until the first result; None where that was not measured."""
    found = record.start
    if found is None:
        return None
    rows: list[tuple[str, Child]] = [
        ("loaded in", f"{digits(found.load_s)} s: verified, loaded, allocated, bound, captured"),
        ("first step", ms(found.first_step_s * 1e3)),
    ]
    if found.warm_s:
        median = sorted(found.warm_s)[len(found.warm_s) // 2]
        rows.append(
            (
                "a new process",
                f"{digits(median)} s until every engine is bound (median of {len(found.warm_s)}, files cached)",
            )
        )
    parts: list[Child] = [tag("h2", "Starting"), facts(rows)]
    if found.parts_ms:
        parts.append(table(("of that", "takes"), [(name, ms(value)) for name, value in found.parts_ms.items()]))
    return tag("section", *parts)


def _facts(found: Beside) -> list[tuple[str, Child]]:
    energy, before, after = found.energy, found.host_before, found.host_after
    held = ", ".join(f"{reason} in {share(part)} of the samples" for reason, part in found.throttling.items())
    mode = (
        None
        if found.power_mode is None
        else f"{found.power_mode.name}"
        + ("" if found.power_mode.number is None else f" (mode {found.power_mode.number})")
    )
    loads = [f"{load.load:g}" for load in (before, after) if load is not None and load.load is not None]
    return [
        ("asked", found.sampler or "nothing: neither nvidia-smi nor tegrastats"),
        ("throttled", held or ("no" if found.sampler else None)),
        ("energy", None if energy is None else f"{digits(energy.joules)} J in {digits(energy.seconds)} s and {energy.steps:,} steps: "
         f"{digits(energy.joules_per_step)} J a step, {digits(energy.watts)} W; {energy.of}, {energy.source}"),
        ("nvpmodel", mode),
        ("jetson_clocks", None if found.clocks_locked is None else "clocks locked" if found.clocks_locked else "clocks not locked"),
        ("host's load", " before, ".join(loads) + " after" if len(loads) == 2 else None),
    ]  # fmt: skip


def _ways(found: dict[str, int]) -> str | None:
    return "; ".join(f"{size(count)} ({way})" for way, count in found.items()) or None


def _counts(found: dict[str, int]) -> str | None:
    return "; ".join(f"{count:,} (given {way})" for way, count in found.items()) or None
