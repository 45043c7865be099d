"""The noise schedule in training, the one step, and a sampler of several steps to compare it with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.distill.transformer import Transformer
from videoscene_rt.export.schedule import coefficient_tables


@dataclass(frozen=True)
class Schedule:
    """√ᾱ_t and √(1−ᾱ_t), float32[1000] each, on the training device."""

    signal: Tensor
    spread: Tensor

    @classmethod
    def of(cls, preset: Preset, device: torch.device) -> Schedule:
        """The preset's."""
        signal, spread = coefficient_tables(preset.schedule)
        return cls(torch.from_numpy(signal).to(device), torch.from_numpy(spread).to(device))

    def noised(self, latent: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """x_t = √ᾱ_t · z + √(1−ᾱ_t) · ε; latents [B,T,16,h,w], timestep int64[B]."""
        return _wide(self.signal[timestep]) * latent + _wide(self.spread[timestep]) * noise

    def origin(self, x_t: Tensor, velocity: Tensor, timestep: Tensor) -> Tensor:
        """z_0 = √ᾱ_t · x_t − √(1−ᾱ_t) · v."""
        return _wide(self.signal[timestep]) * x_t - _wide(self.spread[timestep]) * velocity

    def moved(self, x_t: Tensor, z_0: Tensor, timestep: Tensor, to: Tensor) -> Tensor:
        """x at another timestep on the deterministic path (DDIM, η = 0) that x_t and its z_0 lie on."""
        noise = (x_t - _wide(self.signal[timestep]) * z_0) / _wide(self.spread[timestep])
        return self.noised(z_0, noise, to)

    def noise_to_signal(self) -> Tensor:
        """σ_t = √(1−ᾱ_t) / √ᾱ_t, float32[1000]: the noise on a latent of unit variance; t = 999 has no signal left."""
        return self.spread / self.signal.clamp_min(1e-6)


def predict(
    transformer: Transformer, schedule: Schedule, x_t: Tensor, condition: Tensor, prompt: Tensor, timestep: Tensor
) -> Tensor:
    """z_0 from x_t in one evaluation; latents [B,T,16,h,w], timestep int64[B]."""
    velocity = transformer(torch.cat((x_t, condition), dim=2), prompt, timestep)
    return schedule.origin(x_t, velocity.to(torch.float32), timestep)


@torch.no_grad()
def sample(
    transformer: Transformer,
    schedule: Schedule,
    z_r: Tensor,
    condition: Tensor,
    noise: Tensor,
    prompt: Tensor,
    timestep: Tensor,
    steps: int = 1,
) -> Tensor:
    """The refined latent in ``steps`` evaluations: one is the deployed step, more follow the path in equal parts of t to 0.

    Args:
        z_r, condition, noise: [B,T,16,h,w].
        timestep: where to begin, int64[B].
        steps: at least 1.
    """
    x = schedule.noised(z_r, noise, timestep)
    current = timestep
    for done in range(1, steps + 1):
        z_0 = predict(transformer, schedule, x, condition, prompt, current)
        following = (timestep.to(torch.float32) * (1.0 - done / steps)).round().to(torch.int64)
        if done < steps:
            x = schedule.moved(x, z_0, current, following)
            current = following
    return z_0


def condition_of(first: Tensor, last: Tensor, frames: int) -> Tensor:
    """[z_1, 0, …, 0, z_L] from two latents [B,1,16,h,w] for T latent frames."""
    middle = first.new_zeros(len(first), frames - 2, *first.shape[2:])
    return torch.cat([first, middle, last], dim=1)


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1, 1)
