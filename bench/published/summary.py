"""All findings of a run as JSON and as a table in Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from videoscene_rt.bench.published.extrapolation import extrapolated
from videoscene_rt.bench.published.finding import Finding
from videoscene_rt.bench.published.whole_step import StepSum, step_sums
from videoscene_rt.bench.roofline.facts import Rates
from videoscene_rt.engines.preset import Preset
from videoscene_rt.pictures.report import write_report


class Summary(BaseModel):
    """What a run found; ``parity`` is `videoscene_rt.bench.published.parity.student_parity`'s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Preset
    rates: Rates
    versions: dict[str, str]
    findings: tuple[Finding, ...]
    sums: tuple[StepSum, ...]
    parity: tuple[dict[str, Any], ...] = ()


def summarised(
    preset: Preset,
    rates: Rates,
    versions: dict[str, str],
    findings: list[Finding],
    parity: list[dict[str, Any]],
    before: Summary | None = None,
) -> Summary:
    """The findings, what follows from them, and the sums.

    Args:
        preset, rates, versions, findings, parity: of this run.
        before: an earlier run's, which keeps what was not measured again.
    """
    now, again = {_what(one) for one in findings}, {(one["blocks"], one["dtype"]) for one in parity}
    if before is not None:
        kept = (one for one in before.findings if one.extrapolated is None and _what(one) not in now)
        findings = [*kept, *findings]
        parity = [*(one for one in before.parity if (one["blocks"], one["dtype"]) not in again), *parity]
    every = [*findings, *extrapolated(findings, preset.student.blocks)]
    return Summary(
        preset=preset,
        rates=rates,
        versions=versions,
        findings=tuple(every),
        sums=tuple(step_sums(every, preset.student.blocks)),
        parity=tuple(parity),
    )


def earlier(folder: Path, preset: Preset) -> Summary | None:
    """The summary that lies in a folder; None where there is none, or of another preset, or damaged."""
    try:
        found = Summary.model_validate_json((folder / "summary.json").read_bytes())
    except (OSError, ValueError):
        return None
    return found if found.preset == preset else None


def _what(one: Finding) -> tuple[str, str, str, int | None]:
    return one.stage, one.mode, one.dtype, one.blocks


def write_summary(folder: Path, summary: Summary) -> None:
    """summary.json and summary.md, each whole at any time.

    Raises:
        InputError: they cannot be written.
    """
    write_report(folder / "summary.json", summary)
    draft = folder / ".summary.md"
    draft.write_text(markdown(summary), encoding="utf-8")
    draft.replace(folder / "summary.md")


def markdown(summary: Summary) -> str:
    """The tables: stages, whole steps, parity, and what has no time."""
    preset, rates = summary.preset, summary.rates
    peaks = ", ".join(f"{name} {rate / 1e12:.3g} TFLOP/s" for name, rate in rates.operations_per_s.items())
    versions = ", ".join(f"{name} {version}" for name, version in summary.versions.items())
    lines = [
        f"# {preset.name}: {preset.frames} frames of {preset.height}×{preset.width}, random weights",
        "",
        f"{rates.device}; {peaks}, {rates.bytes_per_s / 1e12:.3g} TB/s ({rates.how}); {versions}.",
        "Medians in milliseconds; the roofline is what operations or bytes take at least at these rates.",
        "",
        "| stage | dtype | mode | ms | least to most | first frames | peak GiB | roofline | times roofline | relative L2 | notes |",
        "| --- | --- | --- | ---: | --- | ---: | ---: | --- | ---: | --- | --- |",
        *(_row(one) for one in summary.findings if one.ms is not None),
    ]
    if summary.sums:
        lines += [
            "",
            "## The whole step: the sum of stages that ran one at a time",
            "",
            "| autoencoder | dtype | what | ms | first frames | roofline | of |",
            "| --- | --- | --- | ---: | ---: | ---: | --- |",
            *(_sum_row(one) for one in summary.sums),
        ]
    if summary.parity:
        lines += ["", "## Parity of the student's v (relative L2)", "", *map(_parity_line, summary.parity)]
    failed = [one for one in summary.findings if one.problem is not None]
    if failed:
        lines += ["", "## No time", "", *(f"- {_name(one)} {one.dtype} {one.mode}: {one.problem}" for one in failed)]
    return "\n".join(lines) + "\n"


def _row(one: Finding) -> str:
    floor = "" if one.floor_ms is None else f"{_ms(one.floor_ms)} ({one.bound})"
    over = "" if one.over_floor is None else f"{one.over_floor:.2f}"
    peak = "" if one.peak_bytes is None else f"{one.peak_bytes / 2**30:.2f}"
    spread = "" if one.spread_ms is None else f"{_ms(one.spread_ms[0])} to {_ms(one.spread_ms[1])} ({one.samples})"
    relative = ", ".join(f"{name} {value:.1e}" for name, value in sorted(one.relative_l2.items()))
    turns = ", ".join(f"{name} {_ms(value)}" for name, value in one.turns_ms.items())
    notes = [f"**extrapolated** {one.extrapolated}"] if one.extrapolated else []
    notes += [f"in turns: {turns}"] if turns else []
    notes += [note for note in one.notes if not note.startswith("series ")]
    cells = (_name(one), one.dtype, one.mode, _ms(one.ms), spread, _ms(one.first_ms), peak, floor, over, relative)
    return f"| {' | '.join(cells)} | {'; '.join(notes)} |"


def _sum_row(one: StepSum) -> str:
    of = ", ".join(f"{stage} {mode}" for stage, mode in one.modes.items())
    of += f"; **missing: {', '.join(one.missing)}**" if one.missing else ""
    of += "; **student extrapolated**" if one.extrapolated else ""
    cells = (one.autoencoder, one.dtype, one.name, _ms(one.ms), _ms(one.first_ms), _ms(one.floor_ms), of)
    return f"| {' | '.join(cells)} |"


def _parity_line(one: dict[str, Any]) -> str:
    if "problem" in one:
        return f"- {one['blocks']} blocks, {one['dtype']}: {one['problem']}"
    pairs = ", ".join(f"{pair} {value:.2e}" for pair, value in one["relative_l2"].items())
    wrong = [name for name, finite in one["finite"].items() if not finite]
    more = [*one["notes"], *([f"not finite: {', '.join(wrong)}"] if wrong else [])]
    return f"- {one['blocks']} blocks, {one['dtype']}: {pairs}{'; ' + '; '.join(more) if more else ''}"


def _name(one: Finding) -> str:
    return one.stage if one.blocks is None else f"{one.stage}, {one.blocks} blocks"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
