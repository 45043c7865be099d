"""Streets: a road between facades, parked cars, poles, trees and signs under a sky."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from videoscene_rt.export.distill.world.description import Description, Light, Shapes, upright
from videoscene_rt.export.distill.world.material import material
from videoscene_rt.export.distill.world.palette import Palette
from videoscene_rt.export.distill.world.viewpoints import pair


def street(draw: Generator) -> Description:
    """A street seen from a vehicle or a pavement: things from 3 to 60 m away, haze, and a low or high sun."""
    colours = Palette(draw)
    ground, half_road = draw.uniform(1.2, 1.9), draw.uniform(3.0, 6.0)
    sky = np.array([0.35, 0.5, 0.8]) * draw.uniform(0.5, 1.1) + draw.uniform(0.0, 0.25)
    pale = np.clip(sky + 0.3, 0.0, 1.0)
    shapes = Shapes()
    shapes.add(
        "shell", (0, 0, 0), (150, 90, 150), material("gradient", np.clip(sky, 0, 1), pale, 90.0, draw, 0.5, glow=1.0)
    )
    grey = np.full(3, draw.uniform(0.03, 0.2))
    shapes.add("box", (0, ground + 0.5, 0), (149, 0.5, 149), material("speckle", grey, grey * 0.6, 0.35, draw))
    for side in (-1, 1):
        _pavement(draw, shapes, colours, side, half_road, ground)
        _houses(draw, shapes, colours, side, half_road + draw.uniform(1.5, 3.5), ground)
    for _ in range(int(draw.integers(2, 5))):
        _car(draw, shapes, colours, half_road, ground)
    for _ in range(int(draw.integers(2, 6))):
        at = draw.choice((-1.0, 1.0)) * (half_road + draw.uniform(0.2, 1.2)), draw.uniform(4.0, 30.0)
        (_tree if draw.uniform() < 0.5 else _sign)(draw, shapes, colours, at, ground)
    if draw.uniform() < 0.7:
        white = np.full(3, 0.7)
        for number in range(4):
            line = 0.0, ground - 0.005, 5.0 + 6.0 * number
            shapes.add("box", line, (0.08, 0.006, 1.2), material("plain", white, white, 1.0, draw))
    viewpoints = pair(draw, (0.6, 1.4), draw.uniform(7.0, 14.0), forward=0.6)
    light = Light(
        lamp=(draw.uniform(-600, 600), -draw.uniform(300, 900), draw.uniform(-600, 300)),
        strength=draw.uniform(0.5, 1.2),
        reach=0.0,
        ambient=draw.uniform(0.4, 0.7),
        fog=draw.uniform(60.0, 300.0),
        air=(float(pale[0]), float(pale[1]), float(pale[2])),
        exposure=draw.uniform(0.9, 1.6),
    )
    return Description(shapes.without_near(viewpoints.centres, 0.6), light, viewpoints)


def _pavement(draw: Generator, shapes: Shapes, colours: Palette, side: int, half_road: float, ground: float) -> None:
    paving = colours.material(("tiles", "speckle", "bricks"), 0.5, 0.2, 0.6)
    shapes.add("box", (side * (half_road + 5.0), ground, 20), (5.0, 0.12, 60), paving)


def _houses(draw: Generator, shapes: Shapes, colours: Palette, side: int, front: float, ground: float) -> None:
    z = draw.uniform(-4.0, 2.0)
    for _ in range(int(draw.integers(3, 6))):
        long, high, deep = draw.uniform(2.5, 7.0), draw.uniform(2.0, 9.0), 3.0
        x = side * (front + deep + draw.uniform(0.0, 1.2))
        wall = colours.material(("facade", "facade", "facade", "bricks", "photograph"), 2.2, 0.2, 0.85)
        shapes.add("box", (x, ground - high, z + long), (deep, high, long), wall)
        if draw.uniform() < 0.5:  # an awning or a door
            low = ground - draw.uniform(1.0, 2.4)
            part = side * (front + 0.1), low, z + long * draw.uniform(0.5, 1.5)
            size = 0.25, draw.uniform(0.3, 1.0), draw.uniform(0.4, 1.4)
            shapes.add("box", part, size, colours.material(("stripes", "plain", "writing"), 0.5))
        z += 2 * long + draw.choice((0.0, 0.0, 1.5))


def _car(draw: Generator, shapes: Shapes, colours: Palette, half_road: float, ground: float) -> None:
    side = draw.choice((-1.0, 1.0))
    x, z = side * (half_road - 1.1), draw.uniform(4.5, 25.0)
    paint = colours.material(("plain", "plain", "gradient"), 2.0, 0.1, 0.95)
    dark = np.full(3, 0.02)
    shapes.add("box", (x, ground - 0.55, z), (0.85, 0.3, 2.1), paint)
    glass = material("gradient", dark * 3, np.full(3, 0.3), 1.0, draw, 0.3)
    shapes.add("box", (x, ground - 1.1, z + 0.2), (0.72, 0.27, 1.1), glass)
    across = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])  # the wheel's axis lies along x
    for end in (-1.3, 1.3):
        tyre = material("dots", dark, dark * 8, 0.3, draw)
        shapes.add("cylinder", (x, ground - 0.32, z + end), (0.32, 0.88, 0.32), tyre, across)


def _tree(draw: Generator, shapes: Shapes, colours: Palette, at: tuple[float, float], ground: float) -> None:
    trunk, crown = draw.uniform(0.8, 1.6), draw.uniform(0.7, 1.8)
    bark, leaf = np.array([0.09, 0.06, 0.04]), np.array([0.05, 0.14, 0.03]) * draw.uniform(0.5, 2.0)
    stem = material("speckle", bark, bark * 0.4, 0.1, draw)
    shapes.add("cylinder", (at[0], ground - trunk, at[1]), (0.12, trunk, 0.12), stem)
    leaves = material("speckle", leaf, leaf * 0.25, draw.uniform(0.15, 0.4), draw, 2.0)
    shapes.add("ellipsoid", (at[0], ground - 2 * trunk - 0.6 * crown, at[1]), (crown, crown, crown), leaves)


def _sign(draw: Generator, shapes: Shapes, colours: Palette, at: tuple[float, float], ground: float) -> None:
    high = draw.uniform(1.1, 2.6)
    shapes.add(
        "cylinder", (at[0], ground - high, at[1]), (0.05, high, 0.05), colours.material(("plain", "stripes"), 0.4)
    )
    face = colours.material(("writing", "photograph", "plain", "stripes"), 0.5, 0.3, 0.95)
    size = draw.uniform(0.2, 0.6), draw.uniform(0.2, 0.5), 0.02
    shapes.add("box", (at[0], ground - 2 * high, at[1] - 0.06), size, face, upright(draw.uniform(-0.5, 0.5)))
