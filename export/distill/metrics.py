"""Figures of merit of pictures: mean squared error, PSNR and SSIM, whole or where a mask says."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_WINDOW = 7
_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2


def psnr(mse: float) -> float:
    """Decibels of a mean squared error of levels 0…255; 99 where there is no error, NaN where there is nothing."""
    if math.isnan(mse):
        return mse
    return 99.0 if mse <= 0 else min(99.0, 10.0 * math.log10(255.0**2 / mse))


def squared_error(found: Tensor, target: Tensor) -> Tensor:
    """Per pixel, mean over the colours: levels uint8 or float [...,H,W,3] → float32[...,H,W]."""
    return (found.to(torch.float32) - target.to(torch.float32)).square().mean(-1)


def ssim_map(found: Tensor, target: Tensor) -> Tensor:
    """Structural similarity at every pixel whose 7×7 window lies inside: levels 0…255 [N,H,W,3] → float32[N,H−6,W−6].

    Wang et al. 2004 with a uniform window and the unbiased variance, the mean over the three colours: what
    ``skimage.metrics.structural_similarity(..., channel_axis=-1, data_range=255)`` averages.
    """
    x, y = (levels.movedim(-1, 1).to(torch.float64) for levels in (found, target))
    return ssim_of(x, y, _C1, _C2).mean(1).to(torch.float32)


def ssim_of(x: Tensor, y: Tensor, c1: float, c2: float) -> Tensor:
    """The map of each channel, [N,C,H,W] → [N,C,H−6,W−6]; differentiable."""
    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values, _WINDOW, stride=1)

    mean_x, mean_y = mean(x), mean(y)
    var_x = unbiased * (mean(x * x) - mean_x * mean_x)
    var_y = unbiased * (mean(y * y) - mean_y * mean_y)
    both = unbiased * (mean(x * y) - mean_x * mean_y)
    top = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return top / ((mean_x * mean_x + mean_y * mean_y + c1) * (var_x + var_y + c2))


def inner(mask: Tensor) -> Tensor:
    """A mask [N,H,W] cut to the pixels of `ssim_map`."""
    border = _WINDOW // 2
    return mask[:, border:-border, border:-border]


def masked_mean(values: Tensor, mask: Tensor) -> float:
    """The mean where the mask is set; NaN where it is nowhere."""
    chosen = mask.to(torch.bool)
    count = int(chosen.sum())
    return float(values[chosen].to(torch.float64).mean()) if count else math.nan
