"""Stage 4: the student learns to denoise, and to leap, on latents alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from videoscene_rt.engines.preset import TIMESTEPS
from videoscene_rt.export.distill.diffusion import predict
from videoscene_rt.export.distill.pace import learning_rate
from videoscene_rt.export.distill.run import Run
from videoscene_rt.export.distill.stages.looking import one_step
from videoscene_rt.export.distill.stages.matching import matched_timesteps

_LOG_EVERY, _LOOK_EVERY = 200, 3000


def train_denoising(run: Run) -> None:
    """Predict the clean latent z from x_t = √ᾱ z' + √(1−ᾱ) ε, as a v-prediction and judged in x_0.

    For some of the batch z' is z itself at any t (denoising, which a sampler of several steps needs); for the others it is the
    coarse latent z_r at a candidate that matches its error (the leap). Ends with the moving average of the weights.
    """
    assert run.latents is not None
    model, recipe, pace = run.models.transformer, run.recipe, run.pace("denoise")
    training = run.training(model, recipe.denoise_rate)
    forward = run.fast(model)
    for progress in run.steps("denoise", training):
        draw = run.draw("denoise", pace.step, run.device)
        rows = torch.randint(len(run.latents), (recipe.denoise_batch,), generator=draw, device=run.device)
        variants = torch.randint(recipe.variants, rows.shape, generator=draw, device=run.device)
        clean, coarse = run.latents.pair(rows, variants)
        start, timestep = starts(run, clean, coarse, draw)
        noise = torch.randn(clean.shape, generator=draw, device=run.device)
        x_t = run.schedule.noised(start, noise, timestep)
        with run.half():
            found = predict(forward, run.schedule, x_t, run.latents.condition(rows), run.models.prompt, timestep)
        loss = (found - clean).square().mean()
        norm = training.step(loss, learning_rate(recipe.denoise_rate, progress))
        if pace.step % _LOG_EVERY == 0:
            run.record.write("denoise", step=pace.step, progress=progress, loss=loss.item(), norm=norm.item())
        if pace.step % _LOOK_EVERY == _LOOK_EVERY - 1:
            averaged: Any = training.average.module
            run.record.write("denoise", step=pace.step, **one_step(run, averaged, run.models.autoencoder))
    training.finish()
    run.record.write("denoise", step=pace.step, spent=pace.spent, **one_step(run, model, run.models.autoencoder))


def starts(run: Run, clean: Tensor, coarse: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which latent is noised, [B,T,16,h,w], and to which timestep, int64[B]: the first rows from the clean one, the rest coarse."""
    count = round(run.recipe.clean_share * len(clean))
    anywhere = torch.randint(TIMESTEPS, (count,), generator=draw, device=run.device)
    leaps = matched_timesteps(run, clean[count:], coarse[count:], draw)
    return torch.cat([clean[:count], coarse[count:]]), torch.cat([anywhere, leaps])
