"""The colour of a surface: its material, its light, the air before it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from videoscene_rt.export.distill.world.batch import World
from videoscene_rt.export.distill.world.intersect import is_lit
from videoscene_rt.export.distill.world.material import (
    COLUMNS,
    FIRST,
    GLOW,
    GRAIN,
    OFFSET,
    PATTERN,
    PATTERNS,
    PHOTOGRAPH,
    SCALE,
    SECOND,
)
from videoscene_rt.export.distill.world.noise import smooth
from videoscene_rt.export.distill.world.patterns import Place, pattern_mix
from videoscene_rt.export.distill.world.photographs import photographs


class Surface(NamedTuple):
    """What rays met: positions and normals in the world [B,R,3], the same in the shape's own axes, materials [B,R,COLUMNS]."""

    position: Tensor
    normal: Tensor
    own_position: Tensor
    own_normal: Tensor
    material: Tensor


def surface(world: World, position: Tensor, shape: Tensor) -> Surface:
    """Normals and materials of positions [B,R,3] on shapes int64[B,R]; a shell's normal points inwards."""

    def gathered(rows: Tensor) -> Tensor:
        flat = rows.flatten(2)
        return flat.gather(1, shape[..., None].expand(-1, -1, flat.shape[-1])).view(*shape.shape, *rows.shape[2:])

    turn, half = gathered(world.turn), gathered(world.half)
    own = ((position - gathered(world.centre))[..., None, :] * turn).sum(-1)
    unit = own / half
    boxes, balls, _ = world.counts
    flat_side = _largest(unit)
    cap = unit[..., 1].abs() > (unit[..., 0] ** 2 + unit[..., 2] ** 2).sqrt()
    up, out = unit.new_tensor([0.0, 1.0, 0.0]), unit.new_tensor([1.0, 0.0, 1.0])
    pillar = torch.where(cap[..., None], up * unit.sign(), out * unit)
    kind = shape[..., None]
    own_normal = torch.where(kind <= boxes, flat_side, torch.where(kind <= boxes + balls, unit, pillar)) / half
    own_normal = torch.where(kind == 0, -own_normal, own_normal)
    own_normal = own_normal / own_normal.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    normal = (own_normal[..., None] * turn).sum(-2)
    return Surface(position, normal, own, own_normal, gathered(world.material))


def colours(world: World, met: Surface, distance: Tensor, pixel: Tensor) -> Tensor:
    """Linear colours [B,R,3].

    Args:
        distance: from the camera, metres, [B,R].
        pixel: width of a pixel a metre away, metres, [B].
    """
    albedo = _albedo(met, distance * pixel[:, None])
    strength, reach, ambient, fog, exposure, falls = (
        part[:, None, None] for part in world.light.unbind(-1)
    )  # each [B,1,1]
    towards = world.lamp[:, None] - met.position
    length = towards.norm(dim=-1, keepdim=True)
    facing = ((towards * met.normal).sum(-1, keepdim=True) / length).clamp_min(0.0)
    lit = is_lit(world, met.position + 2e-3 * met.normal, world.lamp[:, None].expand_as(met.position))
    weaker = torch.where(falls > 0, reach**2 / (reach**2 + length**2), 1.0)
    around = ambient * (0.8 - 0.2 * met.normal[..., 1:2])  # more light from above: y is down
    glow = met.material[..., GLOW : GLOW + 1]
    light = torch.lerp(around + strength * lit[..., None] * facing * weaker, torch.ones_like(facing), glow)
    clear = torch.where(fog > 0, torch.exp(-distance[..., None] / fog.clamp_min(1e-3)), 1.0)
    return (world.air[:, None] + (albedo * light - world.air[:, None]) * torch.maximum(clear, glow)) * exposure


def _albedo(met: Surface, blur: Tensor) -> Tensor:
    row = met.material.reshape(-1, COLUMNS)
    own, normal = met.own_position.reshape(-1, 3), met.own_normal.reshape(-1, 3).abs()
    x, y, z = own.unbind(-1)
    nx, ny, nz = normal.unbind(-1)
    sideways, level = (nx >= ny) & (nx >= nz), (ny > nx) & (ny >= nz)
    scale, offset = row[:, SCALE], row[:, OFFSET : OFFSET + 3]
    u = torch.where(sideways, z, x) / scale + offset[:, 0]
    v = torch.where(level, z, y) / scale + offset[:, 1]
    blur = blur.reshape(-1) / scale
    place = Place(u, v, own / scale[:, None] + offset, blur)
    kinds, pictures = row[:, PATTERN], photographs(row.device)
    is_photograph = kinds == PATTERNS.index("photograph")
    if pictures is None:
        kinds = torch.where(is_photograph, float(PATTERNS.index("speckle")), kinds)
    mix = pattern_mix(kinds, place)[:, None]
    colour = torch.lerp(row[:, FIRST : FIRST + 3], row[:, SECOND : SECOND + 3], mix)
    if pictures is not None:
        # Not mirrored away by the shift: a picture that fills its frame is better than one cut by chance.
        whole = pictures.at(row[:, PHOTOGRAPH], u - offset[:, 0] + 0.5, v - offset[:, 1] + 0.5, blur)
        colour = torch.where(is_photograph[:, None], whole, colour)
    rough = row[:, GRAIN : GRAIN + 1] * _grain(own, offset, blur * scale)[:, None]
    return (colour * (1.0 + rough)).clamp(0.0, 1.0).view(met.position.shape)


def _grain(own: Tensor, offset: Tensor, blur: Tensor) -> Tensor:
    """Roughness of every surface, from a few decimetres to a centimetre wide; what is finer than a pixel is left out."""
    total = torch.zeros_like(blur)
    for frequency, share in ((5.0, 0.12), (23.0, 0.12), (80.0, 0.14)):
        total = total + share * smooth(own * frequency + offset) * (1.5 - blur * frequency).clamp(0.0, 1.0)
    return total


def _largest(unit: Tensor) -> Tensor:
    """±1 on the axis of the largest magnitude, 0 on the others."""
    axis = unit.abs().argmax(dim=-1, keepdim=True)
    return torch.zeros_like(unit).scatter(-1, axis, unit.gather(-1, axis).sign())
