"""Several scenes as tensors of one size, so that all their rays are cast at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from videoscene_rt.export.distill.world.description import KINDS, Description, Shapes
from videoscene_rt.export.distill.world.material import COLUMNS

_NOWHERE = 1e5
"""Where the shapes stand that only fill up a batch, metres; they are a millimetre large."""


@dataclass(frozen=True)
class World:
    """B scenes of N shapes each: one shell, then boxes, ellipsoids, cylinders; float32 on one device.

    Attributes:
        counts: how many of the N are boxes, ellipsoids, cylinders.
        centre, half: [B,N,3] metres.
        turn: [B,N,3,3], rows are each shape's own axes.
        material: [B,N,COLUMNS].
        lamp: [B,3]; light: [B,6] strength, reach, ambient, fog, exposure, and 0 for a sun or 1 for a lamp.
        air: [B,3].
    """

    counts: tuple[int, int, int]
    centre: Tensor
    half: Tensor
    turn: Tensor
    material: Tensor
    lamp: Tensor
    light: Tensor
    air: Tensor

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.centre.device


def pack(scenes: Sequence[Description], device: torch.device | str = "cpu") -> World:
    """The scenes, filled up to equal numbers of each kind of shape with shapes too far and small to be seen."""
    most = tuple(max(scene.shapes.kinds.count(kind) for scene in scenes) for kind in KINDS)
    if most[0] != 1:
        raise ValueError(f"a scene has exactly one shell, not {most[0]}")
    rows = [_rows(scene.shapes, most) for scene in scenes]

    def tensor(values: object) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(device)

    lights = [scene.light for scene in scenes]
    numbers = [
        (light.strength, light.reach, light.ambient, light.fog, light.exposure, float(light.reach > 0))
        for light in lights
    ]
    return World(
        counts=(most[1], most[2], most[3]),
        centre=tensor([row[0] for row in rows]),
        half=tensor([row[1] for row in rows]),
        turn=tensor([row[2] for row in rows]),
        material=tensor([row[3] for row in rows]),
        lamp=tensor([light.lamp for light in lights]),
        light=tensor(numbers),
        air=tensor([light.air for light in lights]),
    )


def _rows(shapes: Shapes, most: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    total = sum(most)
    centre, half = np.full((total, 3), _NOWHERE), np.full((total, 3), 1e-3)
    turn, material = np.tile(np.eye(3), (total, 1, 1)), np.zeros((total, COLUMNS))
    start = 0
    for kind, room in zip(KINDS, most, strict=True):
        mine = [index for index, other in enumerate(shapes.kinds) if other == kind]
        for place, index in enumerate(mine, start):
            centre[place], half[place] = shapes.centres[index], shapes.halves[index]
            turn[place], material[place] = shapes.turns[index], shapes.materials[index]
        start += room
    return centre, half, turn, material
