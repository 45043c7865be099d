"""Stage 5: the leap: one step is made to suffice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from videoscene_rt.export.distill.autoencoding import decode
from videoscene_rt.export.distill.diffusion import predict
from videoscene_rt.export.distill.losses import pixel_loss
from videoscene_rt.export.distill.pace import learning_rate
from videoscene_rt.export.distill.run import Run
from videoscene_rt.export.distill.stages.denoise import starts
from videoscene_rt.export.distill.stages.looking import TwoHalves, one_step
from videoscene_rt.export.distill.transformer import Transformer

_LOG_EVERY, _LOOK_EVERY = 100, 1000


def train_leap(run: Run) -> None:
    """Three losses on the prediction of one step:

    - latent: it is to be the clean latent;
    - pixels: decoded, it is to be the clean frames (of the leaps alone);
    - consistency: it is to be what the moving average predicts from farther along the same path, x_t' with t' < t.

    With ``finetune_decoder`` the decoder learns on beside the student, so that it knows the latents it will be given; the encoder,
    and with it every latent, stays as it is. Ends with the moving average of the weights.
    """
    assert run.latents is not None
    assert run.store is not None
    model, recipe, pace = run.models.transformer, run.recipe, run.pace("leap")
    run.models.autoencoder.requires_grad_(False)
    run.models.autoencoder.decoder.requires_grad_(recipe.finetune_decoder)
    together = nn.ModuleDict({"student": model, "decoder": run.models.autoencoder.decoder})
    training = run.training(together, recipe.leap_rate)
    averaged: Any = training.average.module
    forward, decoding = run.fast(model), run.fast(decode)
    for progress in run.steps("leap", training):
        draw = run.draw("leap", pace.step, run.device)
        rows = torch.randint(len(run.latents), (recipe.leap_batch,), generator=draw, device=run.device)
        variants = torch.randint(recipe.variants, rows.shape, generator=draw, device=run.device)
        clean, coarse = run.latents.pair(rows, variants)
        condition = run.latents.condition(rows)
        start, timestep = starts(run, clean, coarse, draw)
        noise = torch.randn(clean.shape, generator=draw, device=run.device)
        x_t = run.schedule.noised(start, noise, timestep)
        leaps = rows[round(recipe.clean_share * len(rows)) :]
        with run.half():
            found = predict(forward, run.schedule, x_t, condition, run.models.prompt, timestep)
            frames = decoding(run.models.autoencoder, found[-len(leaps) :])
            farther = _farther(run, averaged["student"], x_t, condition, timestep, draw)
        target = run.latents.variation[leaps].of(run.store.clean[run.latents.scene[leaps]])
        losses = {
            "latent": (found - clean).square().mean(),
            "pixels": pixel_loss(frames, target),
            "consistency": (found - farther).square().mean(),
        }
        loss = losses["latent"] + recipe.pixel_weight * losses["pixels"] + recipe.consistency_weight * losses["consistency"]  # fmt: skip
        norm = training.step(loss, learning_rate(recipe.leap_rate, progress))
        if pace.step % _LOG_EVERY == 0:
            figures = {name: value.item() for name, value in losses.items()}
            run.record.write("leap", step=pace.step, progress=progress, norm=norm.item(), **figures)
        if pace.step % _LOOK_EVERY == _LOOK_EVERY - 1:
            halves = TwoHalves(run.models.autoencoder.encoder, averaged["decoder"])
            run.record.write("leap", step=pace.step, **one_step(run, averaged["student"], halves))
    training.finish()
    run.models.autoencoder.requires_grad_(False)
    run.record.write("leap", step=pace.step, spent=pace.spent, **one_step(run, model, run.models.autoencoder))


@torch.no_grad()
def _farther(
    run: Run, model: Transformer, x_t: Tensor, condition: Tensor, timestep: Tensor, draw: torch.Generator
) -> Tensor:
    """z_0 as the model predicts it after one more step along the path, to a third to two thirds of t."""
    z_0 = predict(model, run.schedule, x_t, condition, run.models.prompt, timestep)
    share = 1 / 3 + torch.rand(timestep.shape, generator=draw, device=run.device) / 3
    nearer = (timestep.to(torch.float32) * share).to(torch.int64)
    x = run.schedule.moved(x_t, z_0, timestep, nearer)
    return predict(model, run.schedule, x, condition, run.models.prompt, nearer)
