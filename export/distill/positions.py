"""What tells the student's transformer where a token is and which timestep it is: fixed tables."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from videoscene_rt.engines.preset import TIMESTEPS


def time_features(width: int) -> Tensor:
    """Cosines then sines of t at ``width``/2 frequencies from 1 down to 1/10,000, for t in 0…999: float32[1000, width]."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32) / half)
    angles = torch.arange(TIMESTEPS, dtype=torch.float32)[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def rope(grid: tuple[int, int, int], head_dim: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every video token, float32[T·rows·columns, head_dim]: a quarter of the channels turn with the
    frame, three eighths each with row and column; each angle stands for two neighbouring channels."""
    angles = []
    for axis, (count, dim) in enumerate(zip(grid, (head_dim // 4, head_dim // 8 * 3, head_dim // 8 * 3), strict=True)):
        frequencies = 1.0 / (10000.0 ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
        shape = [1, 1, 1, dim // 2]
        shape[axis] = count
        line = torch.outer(torch.arange(count, dtype=torch.float32), frequencies)
        angles.append(line.reshape(shape).expand(*grid, dim // 2))
    every = torch.cat(angles, dim=-1).reshape(math.prod(grid), -1).repeat_interleave(2, dim=1)
    return every.cos(), every.sin()
