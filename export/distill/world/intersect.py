"""Where rays enter and leave boxes, ellipsoids and cylinders.

Every shape is brought to its unit form (the cube −1…1, the unit ball, the cylinder of radius and half height 1) by its own
axes and half sizes; the length along the ray stays the same. All three are convex: a ray is inside from ``enter`` to ``leave``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from videoscene_rt.export.distill.world.batch import World

START = 1e-4
"""Rays begin so far along their direction: a surface does not hide itself."""


def first_hit(world: World, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """The first surface on each ray.

    Args:
        origins, directions: [B,R,3]; the directions may have any length.

    Returns:
        How far it is in lengths of the direction, float32[B,R], and which shape it is, int64[B,R]; where nothing is hit the
        shell is, from inside.
    """
    enter, leave = spans(world, origins, directions)
    near = torch.where((enter[..., 1:] < leave[..., 1:]) & (enter[..., 1:] > START), enter[..., 1:], torch.inf)
    if near.shape[-1] == 0:
        return leave[..., 0], torch.zeros_like(leave[..., 0], dtype=torch.int64)
    distance, shape = near.min(dim=-1)
    wall = leave[..., 0]
    return torch.minimum(distance, wall), torch.where(distance < wall, shape + 1, 0)


def is_lit(world: World, origins: Tensor, targets: Tensor) -> Tensor:
    """Whether nothing but the shell stands between two points [B,R,3]: bool[B,R]."""
    enter, leave = spans(world, origins, targets - origins)
    blocked = (enter < leave) & (enter > START) & (enter < 1.0)
    return ~blocked[..., 1:].any(dim=-1)


def spans(world: World, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Where each ray enters and leaves each shape, both float32[B,R,N]; the ray misses where enter ≥ leave."""
    batch, rays, _ = origins.shape
    to_unit = (world.turn / world.half[..., None]).flatten(1, 2).transpose(1, 2)
    start = (world.centre[:, :, None, :] * world.turn).sum(-1) / world.half
    o = (origins @ to_unit).view(batch, rays, -1, 3) - start[:, None]
    d = (directions @ to_unit).view(batch, rays, -1, 3)
    boxes, balls, _ = world.counts
    a, b = 1 + boxes, 1 + boxes + balls
    parts = [_box(o[:, :, :a], d[:, :, :a]), _ball(o[:, :, a:b], d[:, :, a:b]), _cylinder(o[:, :, b:], d[:, :, b:])]
    enters, leaves = zip(*parts, strict=True)
    return torch.cat(enters, dim=-1), torch.cat(leaves, dim=-1)


def _box(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    low, high = _slabs(o, d)
    return low.amax(dim=-1), high.amin(dim=-1)


def _ball(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return _round((d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1.0)


def _cylinder(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    x, y, z = o.unbind(-1)
    dx, dy, dz = d.unbind(-1)
    enter, leave = _round(dx * dx + dz * dz, x * dx + z * dz, x * x + z * z - 1.0)
    low, high = _slabs(y, dy)
    return torch.maximum(enter, low), torch.minimum(leave, high)


def _slabs(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Where a coordinate is within −1…1."""
    inverse = 1.0 / torch.where(d.abs() < 1e-12, 1e-12, d)
    first, second = (-1.0 - o) * inverse, (1.0 - o) * inverse
    return torch.minimum(first, second), torch.maximum(first, second)


def _round(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Where a·t² + 2·b·t + c ≤ 0; a miss has enter = ∞, leave = −∞."""
    inside = b * b - a * c
    root, inverse = inside.clamp_min(0.0).sqrt(), 1.0 / a.clamp_min(1e-20)
    hit = inside > 0
    return torch.where(hit, (-b - root) * inverse, torch.inf), torch.where(hit, (root - b) * inverse, -torch.inf)
