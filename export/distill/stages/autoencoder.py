"""Stage 2: the tiny autoencoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from videoscene_rt.export.distill.autoencoding import decode, encode, unit_frames
from videoscene_rt.export.distill.beginning import begin_at_unit
from videoscene_rt.export.distill.losses import pixel_loss, unit_loss
from videoscene_rt.export.distill.pace import learning_rate
from videoscene_rt.export.distill.run import Run
from videoscene_rt.export.distill.stages.looking import reconstruction
from videoscene_rt.export.distill.store import Variation

_UNIT_WEIGHT = 0.05
_LOG_EVERY, _LOOK_EVERY = 100, 1000
_WARM_UP = 0.1
"""Share of the stage: it begins as a codec already, which large first steps would undo."""


def train_autoencoder(run: Run) -> None:
    """Clean clips are to come back as they are; of coarse ones only what is no hole, since a hole says nothing.

    The latents are held near mean 0 and standard deviation 1, the scale that the noise schedule is made for, and the decoder sees
    them with a little noise. A clip's first latent frame is the latent of its first image: the encoder sees that frame four times
    and nothing before it, exactly as a condition image. Ends with the moving average of the weights.
    """
    model, recipe, pace = run.models.autoencoder, run.recipe, run.pace("autoencoder")
    if pace.step == 0:
        begin_at_unit(model, _batch(run, 0)[0])
    training = run.training(model, recipe.autoencoder_rate)
    encoding, decoding = run.fast(encode), run.fast(decode)
    for progress in run.steps("autoencoder", training):
        clean, coarse, seen = _batch(run, pace.step)
        with run.half():
            latents = encoding(model, torch.cat([clean, coarse]))
            found = decoding(model, latents + recipe.latent_noise * _noise(run, latents, pace.step))
        loss = pixel_loss(found[: len(clean)], clean) + _UNIT_WEIGHT * unit_loss(latents)
        loss = loss + 0.5 * ((found[len(clean) :].float() - coarse).abs() * seen).mean()
        norm = training.step(loss, learning_rate(recipe.autoencoder_rate, progress, _WARM_UP))
        if pace.step % _LOG_EVERY == 0:
            run.record.write("autoencoder", step=pace.step, progress=progress, loss=loss.item(), norm=norm.item())
        if pace.step % _LOOK_EVERY == _LOOK_EVERY - 1:
            averaged: Any = training.average.module
            run.record.write("autoencoder", step=pace.step, **reconstruction(run, averaged))
    training.finish()
    mean, deviation = _moments(run)
    run.record.write(
        "autoencoder",
        step=pace.step,
        spent=pace.spent,
        **reconstruction(run, model),
        latent_mean=mean,
        latent_deviation=deviation,
    )


def _batch(run: Run, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Clean frames and coarse frames float32[·,F,3,H,W] of different scenes, two to one, and where the coarse ones are no hole."""
    assert run.store is not None
    store, size = run.store, run.recipe.autoencoder_batch
    draw = run.draw("autoencoder", step)
    scenes = torch.randint(len(store), (size,), generator=draw).to(run.device)
    variants = torch.randint(store.coarse.shape[1], (size,), generator=draw).to(run.device)
    variation = Variation.drawn(size, draw, run.device)
    coarse_count = max(1, size // 3)
    kept, rest = slice(coarse_count, None), slice(0, coarse_count)
    clean = variation[kept].of(store.clean[scenes[kept]])
    rendered = store.coarse[scenes[rest], variants[rest]]
    background = torch.tensor(run.preset.renderer.background, dtype=torch.uint8, device=run.device)
    seen = (rendered != background).any(-1, keepdim=True).to(torch.uint8) * 255
    still = replace(variation[rest], gamma=torch.ones_like(variation.gamma[rest]))
    mask = still.of(seen.expand_as(rendered))
    return clean, variation[rest].of(rendered), mask


def _noise(run: Run, like: Tensor, step: int) -> Tensor:
    draw = run.draw("autoencoder", step, run.device)
    return torch.randn(like.shape, generator=draw, device=run.device)


@torch.no_grad()
def _moments(run: Run) -> tuple[float, float]:
    """Mean and standard deviation of the validation clips' latents."""
    assert run.validation is not None
    model = run.models.autoencoder
    latents = torch.cat([encode(model, unit_frames(clips.clean)) for clips in run.validation.groups(8)])
    return float(latents.mean()), float(latents.std())
