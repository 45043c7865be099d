"""Between uint8 frames at a graph's border and the float pixels inside.

The casts stand at the very border (first after an input, last before an output): TensorRT has uint8 there and nowhere
else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_rounding = True


@contextmanager
def unrounded() -> Iterator[None]:
    """Inside, frames leave as float32 levels in 0…255 before they are rounded: what a proof compares rounded frames with."""
    global _rounding
    _rounding = False
    try:
        yield
    finally:
        _rounding = True


def pixels_from_uint8(frames: Tensor) -> Tensor:
    """u8[N,H,W,3] RGB → f32[N,3,H,W] in [-1, 1]: p/127.5 − 1."""
    return frames.to(torch.float32).permute(0, 3, 1, 2) / 127.5 - 1.0


def uint8_from_unit(pixels: Tensor) -> Tensor:
    """f32[N,3,H,W], nominally in [0, 1] → u8[N,H,W,3]: round(clamp(y, 0, 1)·255), ties to even."""
    levels = (pixels.clamp(0.0, 1.0) * 255.0).permute(0, 2, 3, 1)
    return levels.round().to(torch.uint8) if _rounding else levels


def uint8_from_pixels(pixels: Tensor) -> Tensor:
    """f32[N,3,H,W], nominally in [-1, 1] → u8[N,H,W,3]: round(clamp((x+1)/2, 0, 1)·255), ties to even."""
    return uint8_from_unit(unit_from_pixels(pixels))


def unit_from_pixels(pixels: Tensor) -> Tensor:
    """[-1, 1] → [0, 1]: (x+1)/2, without clamping."""
    return (pixels + 1.0) / 2.0


def noised(pixels: Tensor, sigma: Tensor, eta: Tensor) -> Tensor:
    """Condition images with their noise: x + σ·η; ``pixels``, ``eta`` f32[N,3,H,W] (x in [-1, 1]), ``sigma`` f32[1]."""
    return pixels + sigma * eta
