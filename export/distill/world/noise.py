"""Random values that a place or a number determines, the same on every device: one table, made once by NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

_BITS = 16
_SIZE = 1 << _BITS
_STRIDES = (1, 7919, 31337)
"""Odd, so that neighbouring cells lie far apart in the table."""


@cache
def _table(device: torch.device) -> Tensor:
    values = np.random.Generator(np.random.PCG64(20240229)).uniform(0.0, 1.0, _SIZE).astype(np.float32)
    return torch.from_numpy(values).to(device)


def hashed(*cells: Tensor) -> Tensor:
    """A value in 0…1 for each cell; up to three whole numbers as floats of one shape name a cell."""
    index = sum(cell.to(torch.int64) * stride for cell, stride in zip(cells, _STRIDES, strict=False))
    assert isinstance(index, Tensor)
    # The index is mixed, or two cells whose numbers differ by a multiple of a stride would look alike in rows.
    mixed = (index * 40503) ^ ((index * 40503) >> 15)
    return _table(index.device)[mixed & (_SIZE - 1)]


def smooth(positions: Tensor) -> Tensor:
    """Value noise in −1…1 at positions [...,3], one random value at each whole-numbered corner, smoothly between."""
    cell = positions.floor()
    part = positions - cell
    x, y, z = (part * part * (3.0 - 2.0 * part)).unbind(-1)
    i, j, k = cell.to(torch.int64).unbind(-1)
    table = _table(positions.device)
    corners = [
        table[((i + a) * _STRIDES[0] + (j + b) * _STRIDES[1] + (k + c) * _STRIDES[2]) & (_SIZE - 1)]
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
    ]
    along_z = [torch.lerp(corners[n], corners[n + 1], z) for n in (0, 2, 4, 6)]
    along_y = [torch.lerp(along_z[0], along_z[1], y), torch.lerp(along_z[2], along_z[3], y)]
    return torch.lerp(along_y[0], along_y[1], x) * 2.0 - 1.0
