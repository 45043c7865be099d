"""Stage 1: generate clips."""

from __future__ import annotations

import torch

from videoscene_rt.export.distill.clips import Clips, joined
from videoscene_rt.export.distill.run import Run
from videoscene_rt.export.distill.store import generated, stored


def make_clips(run: Run) -> None:
    """Fill the store with clips of the training seeds, in order, until the time or the number is reached; and a few held-out
    ones for validation. A run that goes on makes the same ones again."""
    recipe, pace = run.recipe, run.pace("clips")
    seeds = list(run.source.training_seeds()[: recipe.clips])
    groups: list[list[Clips]] = []
    coming = generated(run.source, seeds, recipe.variants, recipe.clips_at_once)
    if "clips" in run.finished:
        groups = [group for group, _ in zip(coming, range(pace.step), strict=False)]
    else:
        for _ in pace.steps():
            group = next(coming, None)
            if group is None:
                break
            groups.append(group)
            if run.device.type == "cuda":
                torch.cuda.synchronize()  # or the clock would see launches, not work
    run.store = stored(groups)
    run.validation = validation_clips(run)
    run.record.write("clips", scenes=len(run.store), variants=recipe.variants, spent=pace.spent)


def validation_clips(run: Run) -> Clips:
    """Clips that are never trained on."""
    chosen = list(run.source.validation_seeds()[: run.recipe.validation])
    at_once = run.recipe.clips_at_once
    return joined([run.source.clips(chosen[start : start + at_once]) for start in range(0, len(chosen), at_once)])
