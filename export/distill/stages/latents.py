"""Stage 3: encode the clips for the student."""

from __future__ import annotations

import torch

from videoscene_rt.export.distill.latents import Latents, encoded, together
from videoscene_rt.export.distill.run import Run
from videoscene_rt.export.distill.store import Variation


def make_latents(run: Run) -> None:
    """Encode every scene in several variations, until the time is used or all are done; a run that goes on makes the same ones."""
    assert run.store is not None
    recipe, pace = run.recipe, run.pace("latents")
    size = recipe.clips_at_once
    groups = -(-len(run.store) // size) * recipe.copies
    draw = run.draw("latents", 0)
    parts: list[Latents] = []

    def encode_next() -> None:
        start = len(parts) * size % (-(-len(run.store) // size) * size)  # type: ignore[arg-type]
        scenes = torch.arange(start, min(start + size, len(run.store)), device=run.device)  # type: ignore[arg-type]
        variation = Variation.drawn(len(scenes), draw, run.device)
        with run.half():
            parts.append(encoded(run.models.autoencoder, run.store, scenes, variation))  # type: ignore[arg-type]
        if run.device.type == "cuda":
            torch.cuda.synchronize()

    if "latents" in run.finished:
        while len(parts) < pace.step:
            encode_next()
    else:
        for _ in pace.steps():
            if len(parts) == groups:
                break
            encode_next()
    run.latents = together(parts)
    error = (run.latents.coarse[:64, 0].float() - run.latents.clean[:64].float()).square().mean((1, 2, 3, 4)).sqrt()
    quantiles = [float(value) for value in torch.quantile(error, torch.tensor([0.1, 0.5, 0.9], device=run.device))]
    run.record.write("latents", examples=len(run.latents), spent=pace.spent, coarse_error_quantiles=quantiles)
