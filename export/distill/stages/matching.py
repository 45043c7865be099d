"""Which timestep a leap starts from: the one whose noise is about as large as what must be hidden."""

from __future__ import annotations

import torch
from torch import Tensor

from videoscene_rt.export.distill.run import Run


def matched_timesteps(run: Run, clean: Tensor, coarse: Tensor, draw: torch.Generator) -> Tensor:
    """A candidate for each pair of latents [B,T,16,h,w]: int64[B].

        p(t) ∝ exp(−(ln σ_t − ln(k·d))² / (2 w²)),   σ_t = √(1−ᾱ_t)/√ᾱ_t,   d = rms(z_r − z)

    In diffusion, t says how far x_t is from a clean latent: by noise σ_t. A coarse latent is d away already, so a step from t with
    σ_t far below d would have to take errors for signal, and one far above d throws away what was right. Training each t on the
    states that it suits (and on all others with probability ``match_floor``) keeps that meaning: at a small t the student trusts
    its input, at a large one the two images. So there is a choice for the policy to make.
    """
    recipe = run.recipe
    candidates = torch.tensor(run.preset.policy.timesteps, device=run.device)
    sigma = run.schedule.noise_to_signal()[candidates]
    error = (coarse - clean).square().mean((1, 2, 3, 4)).sqrt().clamp_min(1e-3)
    distance = (sigma.log()[None] - (recipe.match_ratio * error).log()[:, None]) / recipe.match_width
    chances = (1.0 - recipe.match_floor) * torch.softmax(-0.5 * distance.square(), dim=1)
    chances = chances + recipe.match_floor / len(candidates)
    return candidates[torch.multinomial(chances, 1, generator=draw)[:, 0]]
