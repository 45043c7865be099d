"""What the engines of each precision gave, as JSON and as markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from videoscene_rt.export.distill.figures import REGIONS, mean_figures

if TYPE_CHECKING:
    from videoscene_rt.export.distill.deployed import Row


def summary(found: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Means over the cases by precision; the first precision is the reference.

    ``loss_db`` is how much PSNR against the clean frames, whole, a precision loses to the reference: mean and worst case.
    """
    reference = next(iter(found.values()))
    return {
        "cases": len(reference),
        "coarse": mean_figures(row.coarse for row in reference).to_json(),
        "precisions": {name: _of_precision(rows, reference) for name, rows in found.items()},
    }


def _of_precision(rows: Sequence[Row], reference: Sequence[Row]) -> dict[str, Any]:
    losses = [
        first.refined.psnr["whole"] - row.refined.psnr["whole"] for row, first in zip(rows, reference, strict=True)
    ]
    against = [row.against_reference for row in rows]
    return {
        "refined": mean_figures(row.refined for row in rows).to_json(),
        "psnr_against_reference": {"mean": round(sum(against) / len(against), 3), "least": round(min(against), 3)},
        "loss_db": {"mean": round(sum(losses) / len(losses), 4), "most": round(max(losses), 4)},
        "other_timestep": sum(a.timestep != b.timestep for a, b in zip(rows, reference, strict=True)),
    }


def markdown(result: dict[str, Any]) -> str:
    """The tables."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result["versions"].items()))
    lines = [f"Preset `{result['preset']}` by {result['backend']} ({versions}), noise of seed {result['seed']}."]
    for name, part in result["results"].items():
        columns = [f"PSNR {region}" for region in REGIONS] + [
            "SSIM whole",
            "against the first",
            "least",
            "loses",
            "most",
        ]
        lines += ["", f"### {name} ({part['cases']})", ""]
        lines += [f"| frames | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
        lines.append(f"| coarse | {_figures(part['coarse'])} | | | | |")
        for precision, found in part["precisions"].items():
            against, loss = found["psnr_against_reference"], found["loss_db"]
            lines.append(
                f"| {precision} | {_figures(found['refined'])} | {against['mean']:.1f} dB | {against['least']:.1f} dB "
                f"| {loss['mean']:+.3f} dB | {loss['most']:+.3f} dB |"
            )
        others = {precision: found["other_timestep"] for precision, found in part["precisions"].items()}
        changed = ", ".join(f"{precision} {count}" for precision, count in others.items() if count)
        lines += ["", f"Another timestep than the first precision's: {changed or 'never'}."]
    return "\n".join(lines) + "\n"


def _figures(found: dict[str, dict[str, float]]) -> str:
    cells = [f"{found['psnr'][region]:.2f}" if region in found["psnr"] else "–" for region in REGIONS]
    return " | ".join([*cells, f"{found['ssim']['whole']:.3f}"])
