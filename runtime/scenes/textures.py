"""Solid textures: colour as a function of position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Colour = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Noise:
    """Smooth noise: a periodic lattice of random values, interpolated."""

    lattice: NDArray[np.float32]

    @classmethod
    def random(cls, generator: np.random.Generator) -> Noise:
        """A lattice of 32³ values in −1 to 1."""
        return cls(generator.uniform(-1, 1, size=(32, 32, 32)).astype(np.float32))

    def at(self, positions: Floats, frequency: float) -> Floats:
        """Noise in −1 to 1 at ``positions`` [3,N], ``frequency`` lattice cells a metre."""
        scaled = positions * frequency + 1000.0
        cell = np.floor(scaled).astype(np.int64)
        fraction = scaled - cell
        fraction = fraction * fraction * (3 - 2 * fraction)
        flat = self.lattice.ravel()
        low, high = cell & 31, (cell + 1) & 31
        x = (low[0] * 1024, high[0] * 1024)
        y = (low[1] * 32, high[1] * 32)
        z = (low[2], high[2])
        fx, fy, fz = fraction
        planes = []
        for i in (0, 1):
            lines = [flat[x[i] + y[j] + z[0]] * (1 - fz) + flat[x[i] + y[j] + z[1]] * fz for j in (0, 1)]
            planes.append(lines[0] * (1 - fy) + lines[1] * fy)
        result: Floats = planes[0] * (1 - fx) + planes[1] * fx
        return result


@dataclass(frozen=True)
class Material:
    """Two colours (linear light), how they alternate, and how often (``scale``: metres a repeat)."""

    kind: Literal["plain", "checker", "bricks", "planks", "stripes", "marble", "dots"]
    first: Colour
    second: Colour
    scale: float

    def colour(self, positions: Floats, noise: Noise) -> Floats:
        """Linear colours [3,N] at ``positions`` [3,N]; noise gives every surface a grain."""
        mix = self._mix(positions, noise)
        first, second = np.array(self.first)[:, None], np.array(self.second)[:, None]
        grain = 1 + 0.13 * noise.at(positions, 3.1) + 0.11 * noise.at(positions, 23.7)
        return (first * (1 - mix) + second * mix) * grain

    def _mix(self, positions: Floats, noise: Noise) -> Floats:
        # The shift keeps faces that lie on round coordinates away from the edges of the pattern.
        x, y, z = positions / self.scale + np.array([[0.2137], [0.3391], [0.1713]])
        mix: Floats = np.zeros(positions.shape[1])
        if self.kind == "checker":
            mix = (np.floor(x) + np.floor(y) + np.floor(z)) % 2
        elif self.kind == "bricks":
            row = np.floor(y * 2.5)
            along = x + z + 0.5 * (row % 2)
            mortar = (y * 2.5 - row < 0.12) | (along - np.floor(along) < 0.05)
            mix = np.where(mortar, 1.0, 0.35 * _hashed(row, np.floor(along)))
        elif self.kind == "planks":
            board = np.floor(x * 2)
            along = z * 0.4 + 0.37 * board
            gap = (x * 2 - board < 0.04) | (along - np.floor(along) < 0.01)
            rings = 0.5 + 0.5 * np.sin(40 * x + 6 * noise.at(positions * np.array([[1], [1], [0.15]]), 4.0))
            mix = np.where(gap, 1.0, 0.25 * rings + 0.4 * _hashed(board, np.floor(along)))
        elif self.kind == "stripes":
            mix = (np.sin(2 * np.pi * (0.8 * x + 0.3 * y + 0.5 * z)) > 0).astype(np.float64)
        elif self.kind == "marble":
            mix = 0.5 + 0.5 * np.sin(2 * np.pi * (x + 0.6 * z + 0.4 * y) + 4 * noise.at(positions, 1.5 / self.scale))
        elif self.kind == "dots":
            offset = [axis - np.floor(axis) - 0.5 for axis in (x, y, z)]
            mix = (offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2 < 0.16).astype(np.float64)
        return mix


def _hashed(i: Floats, j: Floats) -> Floats:
    """A value in 0 to 1 for each pair of whole numbers, without visible order."""
    value = np.sin(i * 12.9898 + j * 78.233) * 43758.5453
    result: Floats = value - np.floor(value)
    return result
