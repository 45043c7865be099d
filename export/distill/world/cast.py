"""Rays in, distances and colours out."""

from __future__ import annotations

import torch
from torch import Tensor

from videoscene_rt.export.distill.world.batch import World
from videoscene_rt.export.distill.world.intersect import first_hit
from videoscene_rt.export.distill.world.shading import colours, surface

_RAYS_AT_ONCE = {"cpu": 16_384, "cuda": 1_600_000}
"""Over all scenes of a batch: few enough for a processor's cache, many enough to fill a GPU (about 6 KB a ray of 40 shapes)."""


@torch.no_grad()
def cast(world: World, origins: Tensor, directions: Tensor, pixel: Tensor) -> tuple[Tensor, Tensor]:
    """What rays see.

    Args:
        origins, directions: float32[B,R,3]; a direction's length is the unit of the distance: with a camera's z = 1 it is depth.
        pixel: width of a pixel a metre away, metres, float32[B].

    Returns:
        distance float32[B,R] and linear colours float32[B,R,3].
    """
    batch, rays, _ = directions.shape
    step = max(1, _RAYS_AT_ONCE.get(world.device.type, 100_000) // batch)
    found = [
        _cast(world, origins[:, start : start + step], directions[:, start : start + step], pixel)
        for start in range(0, rays, step)
    ]
    distances, lights = zip(*found, strict=True)
    return torch.cat(distances, dim=1), torch.cat(lights, dim=1)


def _cast(world: World, origins: Tensor, directions: Tensor, pixel: Tensor) -> tuple[Tensor, Tensor]:
    distance, shape = first_hit(world, origins, directions)
    met = surface(world, origins + distance[..., None] * directions, shape)
    return distance, colours(world, met, distance * directions.norm(dim=-1), pixel)
