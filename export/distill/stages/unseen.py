"""Scenes for the policy: on those that the student was trained on, it is better than it will be, and at other timesteps."""

from __future__ import annotations

import torch

from videoscene_rt.engines.errors import InputError
from videoscene_rt.export.distill.latents import Latents, encoded, together
from videoscene_rt.export.distill.run import Run
from videoscene_rt.export.distill.store import Store, Variation, generated, stored


def unseen(run: Run) -> tuple[Store, Latents]:
    """The recipe's number of scenes after those that the run was trained on, encoded in the recipe's variations.

    Where the source has no more (a folder of few scenes) or the recipe asks for none, what the run was trained on takes their place; the
    record says how many there were.
    """
    recipe = run.recipe
    seen = run.seen if run.store is None else len(run.store)
    seeds = list(run.source.training_seeds()[seen : seen + recipe.policy_scenes])
    run.record.write("policy", unseen_scenes=len(seeds))
    if not seeds:
        if run.store is None or run.latents is None:
            raise InputError("there are no scenes that the student was not trained on", "give more of them")
        return run.store, run.latents
    store = stored(list(generated(run.source, seeds, recipe.variants, recipe.clips_at_once)))
    draw = run.draw("policy", -1)
    parts = []
    for _ in range(recipe.copies):
        for scenes in torch.arange(len(store)).split(recipe.clips_at_once):
            variation = Variation.drawn(len(scenes), draw, run.device)
            with run.half():
                parts.append(encoded(run.models.autoencoder, store, scenes.to(run.device), variation))
    return store, together(parts)
