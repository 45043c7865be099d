"""Random numbers that a seed and an index determine, the same on a CPU and a GPU and in any batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def uniform(seeds: Tensor, count: int, channel: int) -> Tensor:
    """Numbers in [0, 1) for seeds int64[B]: float32[B,count]; each channel is a stream of its own.

    A 32-bit integer hash in two rounds (multiply, shift, exclusive or), 24 bits of which are used.
    """
    index = torch.arange(count, dtype=torch.int64, device=seeds.device)[None]
    mixed = _mix((index + channel * 0x9E3779B1) & _MASK)
    mixed = _mix(mixed ^ (seeds[:, None] & _MASK))
    return (mixed >> 8).to(torch.float32) * 2.0**-24


def normal(seeds: Tensor, count: int, channel: int) -> Tensor:
    """Standard normal numbers (Box and Muller): float32[B,count]; takes the channels 2·channel and 2·channel+1."""
    radius = (-2.0 * (1.0 - uniform(seeds, count, 2 * channel)).log()).sqrt()
    return radius * torch.cos(2.0 * math.pi * uniform(seeds, count, 2 * channel + 1))


def _mix(value: Tensor) -> Tensor:
    """Products wrap around 2⁶⁴; their low 32 bits are right all the same."""
    value = value ^ (value >> 16)
    value = (value * 0x7FEB352D) & _MASK
    value = value ^ (value >> 15)
    value = (value * 0x846CA68B) & _MASK
    return value ^ (value >> 16)
