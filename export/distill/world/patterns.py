"""Patterns: how much of a material's second colour a place shows, 0…1."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from videoscene_rt.export.distill.world.material import PATTERNS
from videoscene_rt.export.distill.world.noise import hashed, smooth


class Place(NamedTuple):
    """Where a ray met a surface, in repeats of its material's pattern.

    Attributes:
        u, v: on the surface, [n]; v grows downwards where the surface stands.
        solid: in the shape, [n,3].
        blur: size of a pixel in repeats, [n]; what is finer is left out by those who can.
    """

    u: Tensor
    v: Tensor
    solid: Tensor
    blur: Tensor


def pattern_mix(kinds: Tensor, place: Place) -> Tensor:
    """The mix of every place by its kind (an index of PATTERNS, float[n]); [n]. Photographs and plain surfaces have 0."""
    mix = torch.zeros_like(place.u)
    for name, pattern in _BY_NAME.items():
        chosen = kinds == PATTERNS.index(name)
        if chosen.device.type == "cpu" and not bool(chosen.any()):
            continue  # on a GPU asking would cost more than computing
        mix = torch.where(chosen, pattern(place), mix)
    return mix


def _faded(mix: Tensor, mean: float, blur: Tensor, finest: float) -> Tensor:
    """A pattern whose parts are ``finest`` repeats wide, and its mean where a pixel is wider than they are."""
    sharpness = (1.5 - blur / finest).clamp(0.0, 1.0)
    return mean + (mix - mean) * sharpness


def _checker(p: Place) -> Tensor:
    return _faded((p.u.floor() + p.v.floor()).remainder(2.0), 0.5, p.blur, 1.0)


def _bricks(p: Place) -> Tensor:
    row = (p.v * 3.0).floor()
    along = p.u + 0.5 * row.remainder(2.0)
    mortar = ((p.v * 3.0 - row) < 0.14) | ((along - along.floor()) < 0.05)
    bricks = torch.where(mortar, 1.0, 0.45 * hashed(row, along.floor()))
    return _faded(bricks, 0.35, p.blur, 0.3)


def _planks(p: Place) -> Tensor:
    board = (p.u * 2.0).floor()
    along = p.v * 0.4 + 0.37 * board
    gap = ((p.u * 2.0 - board) < 0.05) | ((along - along.floor()) < 0.012)
    bent = smooth(p.solid * p.solid.new_tensor([6.0, 6.0, 1.5]))
    rings = 0.5 + 0.5 * torch.sin(22.0 * p.u + 5.0 * bent)
    rings = _faded(rings, 0.5, p.blur, 0.25)
    return _faded(torch.where(gap, 1.0, 0.3 * rings + 0.4 * hashed(board, along.floor())), 0.4, p.blur, 0.5)


def _stripes(p: Place) -> Tensor:
    return _faded((p.u.remainder(1.0) < 0.4).to(p.u.dtype), 0.4, p.blur, 0.5)


def _marble(p: Place) -> Tensor:
    bent = smooth(p.solid * 1.3) + 0.5 * smooth(p.solid * 3.1)
    return _faded(0.5 + 0.5 * torch.sin(5.0 * (p.u + 0.6 * p.v) + 4.0 * bent), 0.5, p.blur, 1.0)


def _dots(p: Place) -> Tensor:
    x, y = p.u - p.u.floor() - 0.5, p.v - p.v.floor() - 0.5
    radius = 0.22 + 0.2 * hashed(p.u.floor(), p.v.floor())
    return _faded(((x * x + y * y) < radius * radius).to(p.u.dtype), 0.35, p.blur, 0.6)


def _writing(p: Place) -> Tensor:
    """Lines of marks a ninth of a repeat high: words of glyphs, each a pattern of 3 by 4 cells, ragged at the right."""
    line = (p.v * 9.0).floor()
    height = p.v * 9.0 - line
    glyph = (p.u * 14.0).floor()
    x, y = ((p.u * 14.0 - glyph) * 4.0).floor(), (height * 6.0).floor()
    marked = hashed(glyph * 5.0 + x, line * 7.0 + y, glyph) > 0.45
    word = hashed(glyph, line) > 0.18
    ragged = (p.u - p.u.floor()) < 0.55 + 0.4 * hashed(line, p.u.floor())
    ink = (marked & word & ragged & (x < 3.0) & (y > 0.0) & (y < 5.0)).to(p.u.dtype)
    faint = (word & ragged & (y > 0.0) & (y < 5.0)).to(p.u.dtype) * 0.4
    return torch.lerp(ink, _faded(faint, 0.2, p.blur, 0.1), (p.blur * 40.0 - 0.5).clamp(0.0, 1.0))


def _gradient(p: Place) -> Tensor:
    return 0.5 + 0.5 * torch.sin(3.0 * p.v + 0.4 * p.u)


def _speckle(p: Place) -> Tensor:
    total = torch.zeros_like(p.u)
    for octave, share in ((1.0, 0.45), (2.3, 0.3), (5.1, 0.25)):
        total = total + share * _faded(smooth(p.solid * octave), 0.0, p.blur * octave, 0.8)
    return (0.5 + 0.9 * total).clamp(0.0, 1.0)


def _facade(p: Place) -> Tensor:
    """Windows in a wall, each with a frame, a cross bar and glass that is darker or lighter by chance."""
    column, floor = p.u.floor(), p.v.floor()
    x, y = p.u - column, p.v - floor
    hole = ((x - 0.5).abs() < 0.26) & ((y - 0.45).abs() < 0.3)
    bar = ((x - 0.5).abs() < 0.02) | ((y - 0.35).abs() < 0.015) | ((x - 0.5).abs() > 0.23) | ((y - 0.45).abs() > 0.275)
    glass = 0.55 + 0.45 * hashed(column, floor)
    ledge = (y > 0.93).to(p.u.dtype) * 0.35
    return _faded(torch.where(hole, torch.where(bar, 0.1, glass), ledge), 0.3, p.blur, 0.6)


def _tiles(p: Place) -> Tensor:
    x, y = p.u * 2.0, p.v * 2.0
    joint = ((x - x.floor()) < 0.05) | ((y - y.floor()) < 0.05)
    return _faded(torch.where(joint, 1.0, 0.35 * hashed(x.floor(), y.floor())), 0.25, p.blur, 0.5)


_BY_NAME: dict[str, Callable[[Place], Tensor]] = {
    "checker": _checker,
    "bricks": _bricks,
    "planks": _planks,
    "stripes": _stripes,
    "marble": _marble,
    "dots": _dots,
    "writing": _writing,
    "gradient": _gradient,
    "speckle": _speckle,
    "facade": _facade,
    "tiles": _tiles,
}
