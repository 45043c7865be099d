"""Photographs as textures: those that come inside scikit-image's wheel, where it is installed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from videoscene_rt.scenes.images import read_image

NAMES = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "moon.png", "page.png", "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip
"""Named one by one: the motorcycle pair lies in the same folder and is never trained on."""

SIDE = 256
_LEVELS = 6


@dataclass(frozen=True)
class Photographs:
    """Square photographs in linear light, each as a pyramid.

    Attributes:
        texels: float32[total,3], level after level, each [count, side, side] in rows.
        count: how many photographs.
        names: which.
    """

    texels: Tensor
    count: int
    names: tuple[str, ...]

    def at(self, number: Tensor, u: Tensor, v: Tensor, blur: Tensor) -> Tensor:
        """Linear colours [n,3] of photograph ``number`` (modulo count) at u, v in repeats, mirrored from repeat to repeat.

        Args:
            number, u, v: [n].
            blur: size of a pixel in repeats, [n]; it chooses the level.
        """
        level = (blur * SIDE).clamp_min(1.0).log2().round().clamp(max=_LEVELS - 1).to(torch.int64)
        side = torch.full_like(level, SIDE) >> level
        # Texels before a level: count · SIDE² · (1 + 1/4 + … ) = count · (4·SIDE² − 4·side²) / 3.
        start = self.count * ((4 * SIDE * SIDE - 4 * side * side) // 3)
        start = start + number.to(torch.int64).remainder(self.count) * side * side
        x, y = (self._mirrored(w) * side - 0.5 for w in (u, v))
        column, row = x.floor(), y.floor()
        last = side - 1

        def texel(dy: int, dx: int) -> Tensor:
            i = (row.to(torch.int64) + dy).clamp_min(0).minimum(last)
            j = (column.to(torch.int64) + dx).clamp_min(0).minimum(last)
            return self.texels[start + i * side + j]

        along, down = (x - column)[:, None], (y - row)[:, None]
        top = torch.lerp(texel(0, 0), texel(0, 1), along)
        bottom = torch.lerp(texel(1, 0), texel(1, 1), along)
        return torch.lerp(top, bottom, down)

    @staticmethod
    def _mirrored(w: Tensor) -> Tensor:
        return 1.0 - (w.remainder(2.0) - 1.0).abs()


@cache
def photographs(device: torch.device) -> Photographs | None:
    """The photographs on a device; None where scikit-image is not installed, and surfaces show speckle instead."""
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "data"
    paths = [folder / name for name in NAMES if (folder / name).is_file()]
    if not paths:
        return None
    squares = torch.stack([_square(torch.from_numpy(read_image(path))) for path in paths])
    levels = [functional.avg_pool2d(squares, 1 << level) for level in range(_LEVELS)]
    texels = torch.cat([level.permute(0, 2, 3, 1).reshape(-1, 3) for level in levels])
    return Photographs(texels.to(device), len(paths), tuple(path.name for path in paths))


def _square(image: Tensor) -> Tensor:
    """uint8[H,W,3] → its central square as linear float32[3,SIDE,SIDE]."""
    height, width, _ = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side].permute(2, 0, 1)[None].to(torch.float32) / 255.0
    resized = functional.interpolate(square, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    return resized[0].clamp(0.0, 1.0) ** 2.2
