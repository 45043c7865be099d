"""How much of a picture's brightness and hues comes back: what PSNR hardly says, since hues vary less than brightness does."""

from __future__ import annotations

import torch
from torch import Tensor

AXES = ("brightness", "red against blue", "green against magenta")
_MIX = ((1 / 3, 1 / 3, 1 / 3), (1.0, 0.0, -1.0), (-0.5, 1.0, -0.5))


class Hues:
    """Sums over pixels, from which the slope of the line found = a + slope · clean is had for each axis by least squares: 1 where the
    hue comes back in full, 0 where it is lost."""

    def __init__(self) -> None:
        self._sums = torch.zeros(4, len(AXES), dtype=torch.float64)
        self._count = 0

    def add(self, found: Tensor, clean: Tensor) -> None:
        """Count in pictures uint8[...,3] and what they should be."""
        x, y = (self._along(levels) for levels in (clean, found))
        self._sums += torch.stack([x.sum(0), y.sum(0), (x * x).sum(0), (x * y).sum(0)]).cpu()
        self._count += len(x)

    def slopes(self) -> dict[str, float]:
        """By axis; NaN where the clean pictures do not vary along it."""
        x, y, xx, xy = self._sums / max(1, self._count)
        variance = xx - x * x
        slope = torch.where(variance > 1e-9, (xy - x * y) / variance.clamp_min(1e-9), torch.nan)
        return {axis: round(float(value), 3) for axis, value in zip(AXES, slope, strict=True)}

    @staticmethod
    def _along(levels: Tensor) -> Tensor:
        pixels = levels.reshape(-1, 3).to(torch.float64)
        return pixels @ torch.tensor(_MIX, dtype=torch.float64, device=levels.device).T
