"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor

from videoscene_rt.export.distill.metrics import ssim_of


def pixel_loss(found: Tensor, target: Tensor) -> Tensor:
    """How far frames [B,F,3,H,W] in 0…1 are off: absolute and squared differences, edges, and structure.

    L1 keeps edges sharp, the square is what PSNR counts, differences of neighbours weigh edges, 1 − SSIM weighs texture.
    """
    found, target = found.to(torch.float32).flatten(0, 1), target.to(torch.float32).flatten(0, 1)
    error = found - target
    down, right = error[..., 1:, :] - error[..., :-1, :], error[..., 1:] - error[..., :-1]
    edges = down.abs().mean() + right.abs().mean()
    structure = 1.0 - ssim_of(found, target, 0.01**2, 0.03**2).mean()
    return error.abs().mean() + 4.0 * error.square().mean() + 0.5 * edges + 0.05 * structure


def unit_loss(latents: Tensor) -> Tensor:
    """How far latents [B,T,16,h,w] are from mean 0 and standard deviation 1 in every channel."""
    values = latents.to(torch.float32)
    mean, deviation = values.mean((0, 1, 3, 4)), values.std((0, 1, 3, 4))
    return mean.square().mean() + (deviation - 1.0).square().mean()
