"""What training looks at on the way: clips that it does not learn from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from videoscene_rt.export.distill.autoencoding import Halves, decode, encode, unit_frames
from videoscene_rt.export.distill.chain import Chain, deployed_noise, encode_clips, refine
from videoscene_rt.export.distill.figures import figures, mean_figures
from videoscene_rt.export.distill.hues import Hues
from videoscene_rt.export.distill.metrics import psnr, squared_error
from videoscene_rt.export.distill.run import Run
from videoscene_rt.export.distill.transformer import Transformer

_AT_ONCE = 8


@dataclass(frozen=True)
class TwoHalves:
    """An encoder and a decoder that do not lie in one module."""

    encoder: nn.Sequential
    decoder: nn.Sequential


@torch.no_grad()
def reconstruction(run: Run, autoencoder: Halves) -> dict[str, float]:
    """PSNR of validation clips that went through both halves, of their mean squared error, and what came back of their colours."""
    assert run.validation is not None
    errors, hues = [], Hues()
    for clips in run.validation.groups(_AT_ONCE):
        found = decode(autoencoder, encode(autoencoder, unit_frames(clips.clean))).clamp(0.0, 1.0) * 255.0
        errors.append(squared_error(found.movedim(-3, -1), clips.clean).mean((1, 2, 3)))
        hues.add(found.movedim(-3, -1), clips.clean)
    return {"validation_psnr": psnr(float(torch.cat(errors).mean())), **hues.slopes()}


@torch.no_grad()
def one_step(run: Run, transformer: Transformer, autoencoder: Halves) -> dict[str, list[float]]:
    """PSNR of validation clips after one step from three candidates (the first, the third, the fifth): whole, holes, outside."""
    assert run.validation is not None
    chain = Chain(autoencoder, transformer, run.models.policy, run.models.prompt, run.schedule)
    noise = deployed_noise(run.preset, run.recipe.seed, run.device)
    looked = run.preset.policy.timesteps[:5:2]
    rows: list[list[float]] = []
    for timestep in looked:
        found = []
        for clips in run.validation.groups(_AT_ONCE):
            everywhere = torch.full((len(clips),), timestep, device=run.device)
            frames = refine(chain, encode_clips(chain, clips), noise, everywhere)
            found += [figures(frames[i], clips.clean[i], clips.holes[i]) for i in range(len(clips))]
        mean = mean_figures(found).psnr
        rows.append([mean["whole"], mean["holes"], mean["outside"]])
    return {f"validation_psnr_at_{timestep + 1}": row for timestep, row in zip(looked, rows, strict=True)}
