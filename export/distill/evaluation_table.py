"""An evaluation as JSON and as markdown."""

from __future__ import annotations

from typing import Any

from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.distill.figures import REGIONS, mean_figures
from videoscene_rt.export.distill.metrics import psnr
from videoscene_rt.export.distill.trials import Outcome


def summary(outcome: Outcome, preset: Preset) -> dict[str, Any]:
    """Means over the clips, and the comparisons that the targets speak of.

    The PSNR of a row is the mean of the clips' PSNRs. Policies are compared by the mean squared error too, their reward.
    """
    means = {name: mean_figures(rows) for name, rows in outcome.trials.items()}
    one = means["policy, 1 step"]
    coarse = mean_figures(outcome.coarse)
    constants = {name: mean for name, mean in means.items() if name.startswith("constant ")}
    best = max(constants, key=lambda name: constants[name].psnr["whole"])
    least = min(constants, key=lambda name: constants[name].mse["whole"])
    return {
        "clips": len(outcome.coarse),
        "coarse": coarse.to_json(),
        "trials": {name: mean.to_json() for name, mean in means.items()},
        "gain_in_holes_db": round(one.psnr["holes"] - coarse.psnr["holes"], 3),
        "gain_outside_db": round(one.psnr["outside"] - coarse.psnr["outside"], 3),
        "best_constant": best,
        "policy_over_best_constant_db": round(one.psnr["whole"] - constants[best].psnr["whole"], 4),
        "policy_over_best_constant_by_error_db": round(psnr(one.mse["whole"]) - psnr(constants[least].mse["whole"]), 4),
        "chosen": {
            str(candidate): sum(t == candidate - 1 for t in outcome.timesteps) for candidate in preset.policy.candidates
        },
        "hues": outcome.hues.slopes(),
        "each_clip": [
            {"coarse": coarse_row.to_json(), "refined": row.to_json(), "timestep": timestep}
            for coarse_row, row, timestep in zip(
                outcome.coarse, outcome.trials["policy, 1 step"], outcome.timesteps, strict=True
            )
        ],
    }


def markdown(result: dict[str, Any]) -> str:
    """The tables of an evaluation."""
    lines = [f"Preset `{result['preset']}`, noise of seed {result['seed']}."]
    for name, part in result["results"].items():
        lines += ["", f"### {name} ({part['clips']})", ""]
        columns = [f"{figure} {region}" for figure in ("PSNR", "SSIM") for region in REGIONS]
        lines += [f"| frames | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
        for row, figures in (("coarse", part["coarse"]), *part["trials"].items()):
            cells = [_cell(figures["psnr"].get(region), 2) for region in REGIONS]
            cells += [_cell(figures["ssim"].get(region), 3) for region in REGIONS]
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
        chosen = ", ".join(f"{candidate}: {count}" for candidate, count in part["chosen"].items() if count)
        lines += [
            "",
            f"One step against coarse: {part['gain_in_holes_db']:+.2f} dB in holes, {part['gain_outside_db']:+.2f} dB outside. "
            f"The policy against the best constant ({part['best_constant']}): {part['policy_over_best_constant_db']:+.3f} dB; "
            f"by mean squared error {part['policy_over_best_constant_by_error_db']:+.3f} dB. Chosen: {chosen}.",
        ]
        if "hues" in part:
            slopes = ", ".join(f"{axis} {slope:.2f}" for axis, slope in part["hues"].items())
            lines += ["", f"What comes back of one step's colours (1: all of it): {slopes}."]
    return "\n".join(lines) + "\n"


def _cell(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
