"""Photographs of a scene: four rays a pixel, averaged in linear light, as sRGB-like bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from videoscene_rt.export.distill.world.batch import World
from videoscene_rt.export.distill.world.cast import cast

_OFFSETS = ((-0.25, -0.25), (0.25, 0.25), (0.25, -0.25), (-0.25, 0.25))
GAMMA = 2.2


def rays(world_to_camera: Tensor, intrinsics: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Rays through image positions; a distance along them is depth.

    Args:
        world_to_camera: [B,4,4]; intrinsics: [B,3,3]; u, v: pixels, [B,R].

    Returns:
        origins and directions, float32[B,R,3].
    """
    rotation, shift = world_to_camera[:, :3, :3], world_to_camera[:, :3, 3]
    centre = -(rotation * shift[:, :, None]).sum(1)
    x = (u - intrinsics[:, 0, 2:3]) / intrinsics[:, 0, 0:1]
    y = (v - intrinsics[:, 1, 2:3]) / intrinsics[:, 1, 1:2]
    local = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    directions = (local[..., :, None] * rotation[:, None]).sum(-2)
    return centre[:, None].expand_as(directions), directions


def photograph(world: World, world_to_camera: Tensor, intrinsics: Tensor, height: int, width: int) -> Tensor:
    """One frame of every scene: poses [B,4,4], intrinsics [B,3,3] → uint8[B,H,W,3]."""
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float32, device=world.device),
        torch.arange(width, dtype=torch.float32, device=world.device),
        indexing="ij",
    )
    # The four rays of every pixel in one batch: on a GPU the number of kernels counts as much as the number of rays.
    u, v = (
        torch.cat([(places + offset).reshape(-1) for offset in offsets])
        for places, offsets in zip((columns, rows), zip(*_OFFSETS, strict=True), strict=True)
    )
    batch = len(intrinsics)
    aims = rays(world_to_camera, intrinsics, u.expand(batch, -1), v.expand(batch, -1))
    _, colours = cast(world, *aims, 0.5 / intrinsics[:, 0, 0])
    total = sum(colours.clamp(0.0, 1.0).chunk(len(_OFFSETS), dim=1))
    assert isinstance(total, Tensor)
    return to_bytes(total / len(_OFFSETS)).view(-1, height, width, 3)


def to_bytes(linear: Tensor) -> Tensor:
    """Linear light as bytes, gamma 2.2."""
    return (linear.clamp(0.0, 1.0) ** (1.0 / GAMMA) * 255.0).round().to(torch.uint8)
