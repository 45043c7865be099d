"""A preset and a recipe that train in seconds."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.presets import SMALL
from videoscene_rt.engines.preset import RendererSettings
from videoscene_rt.export.distill.diffusion import Schedule
from videoscene_rt.export.distill.procedural import ProceduralClips
from videoscene_rt.export.distill.recipe import Recipe
from videoscene_rt.export.distill.record import Record
from videoscene_rt.export.distill.run import Models, Run

TEENY = SMALL.model_copy(update={"name": "teeny", "renderer": RendererSettings(radius=0)})
QUICK = Recipe(
    steps=(2, 4, 2, 4, 3, 1),
    clips_at_once=2,
    copies=1,
    autoencoder_batch=3,
    denoise_batch=4,
    leap_batch=3,
    policy_scenes=2,
    policy_states=16,
    policy_steps=4,
    policy_batch=8,
    validation=2,
)
CPU = torch.device("cpu")


def quick_run(folder: Path, recipe: Recipe = QUICK) -> Run:
    """A run that has not begun."""
    folder.mkdir(parents=True, exist_ok=True)
    return Run(
        preset=TEENY,
        recipe=recipe,
        source=ProceduralClips(TEENY),
        device=CPU,
        folder=folder,
        record=Record(folder / "log.jsonl", echo=False),
        models=Models.fresh(TEENY, recipe.seed, CPU),
        schedule=Schedule.of(TEENY, CPU),
    )
