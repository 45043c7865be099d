"""The policy: which timestep the coarse video needs, decided on the device."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset


class _Greedy(nn.Module):
    """Holds the candidate timesteps and takes the one of the largest logit; among equals, the first."""

    candidates: torch.Tensor

    def __init__(self, timesteps: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("candidates", torch.tensor(timesteps, dtype=torch.int32, device="cpu"), persistent=False)

    def _choose(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.candidates.index_select(0, logits.argmax(dim=1)), logits


class DDPNet(_Greedy):
    """VideoScene's dynamic denoising policy, as far as it is published (arXiv 2504.01956).

    Four 2-D convolutions over the coarse video's latent, its frames folded into channels, and a head that scores the
    candidate timesteps. The paper leaves strides, activation and head open; here: three 3×3 convolutions of stride 2
    with ReLU, a fourth of stride 1 with one channel a candidate, and its mean over the image. The latent is first
    divided by its root mean square: autoencoders differ in the scale of their latents, and the choice should not hang
    on it.

    Args:
        preset: gives T, the widths and the candidates.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset.policy.timesteps)
        _, latent_frames, channels, _, _ = preset.latent_shape
        widths = (latent_frames * channels, *preset.policy.channels)
        self.trunk = nn.ModuleList(
            nn.Conv2d(fan_in, fan_out, kernel_size=3, stride=2, padding=1) for fan_in, fan_out in pairwise(widths)
        )
        self.score = nn.Conv2d(widths[-1], len(preset.policy.candidates), kernel_size=3, padding=1)

    def forward(self, z_r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose.

        Args:
            z_r: the coarse video's latent, float32[1,T,16,h,w].

        Returns:
            timestep int32[1], logits float32[1,K].
        """
        x = z_r * torch.rsqrt((z_r * z_r).mean() + 1e-6)
        x = x.flatten(1, 2)
        for convolution in self.trunk:
            x = functional.relu(convolution(x))
        return self._choose(self.score(x).mean(dim=(2, 3)))


class ConstantPolicy(_Greedy):
    """Always the same timestep, through the policy's interface: for a student that comes without a trained policy.

    Args:
        timesteps: the candidates t, 0…999.
        chosen: which of them it takes.

    Raises:
        InputError: ``chosen`` is no candidate.
    """

    scores: torch.Tensor

    def __init__(self, timesteps: Sequence[int], chosen: int) -> None:
        if chosen not in timesteps:
            # Users count noise timesteps N, one more than t.
            listed = ", ".join(str(t + 1) for t in timesteps)
            raise InputError(
                f"noise timestep {chosen + 1} (t = {chosen}) is no candidate of the policy",
                f"choose one of the noise timesteps {listed}",
            )
        super().__init__(timesteps)
        self.chosen = chosen
        scores = torch.zeros(1, len(timesteps), device="cpu")
        scores[0, list(timesteps).index(chosen)] = 1.0
        self.register_buffer("scores", scores, persistent=False)

    def forward(self, z_r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose.

        Args:
            z_r: float32[1,T,16,h,w]; read, so that no backend drops the input, but without effect whatever it holds,
                NaN included.

        Returns:
            timestep int32[1], logits float32[1,K]: 1 for the chosen candidate, 0 elsewhere.
        """
        first = z_r[:, 0, 0, 0, 0:1]
        return self._choose(torch.where(first > 0, self.scores, self.scores))
