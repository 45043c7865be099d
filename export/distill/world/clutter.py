"""Clutter: many things of all shapes and directions close to the cameras, as in a workshop or on a table."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from videoscene_rt.export.distill.world.description import Description, Light, Shapes, any_turn, upright
from videoscene_rt.export.distill.world.palette import FLOORS, PICTURES, THINGS, WALLS, Palette
from videoscene_rt.export.distill.world.viewpoints import pair


def clutter(draw: Generator) -> Description:
    """14 to 24 things between a camera and a wall that is 2 to 5 m away; pipes, plates, balls, boxes, posters."""
    colours = Palette(draw)
    deep, floor = draw.uniform(2.0, 5.0), draw.uniform(0.5, 1.2)
    shapes = Shapes()
    shapes.add("shell", (0, 0, 0), (8, 6, 8), colours.material(WALLS, 0.7, 0.3))
    shapes.add("box", (0, floor + 0.1, deep / 2), (7, 0.1, 7), colours.material(FLOORS, 0.4))
    turn = upright(draw.normal(0.0, 0.15))
    shapes.add("box", (0, 0, deep + 0.3), (7, 4, 0.1), colours.material((*WALLS, "photograph"), 0.8, 0.2), turn)
    for _ in range(int(draw.integers(1, 4))):
        poster = draw.uniform(-0.5, 0.5) * deep, draw.uniform(-0.35, 0.1) * deep, deep + 0.1
        size = draw.uniform(0.1, 0.5), draw.uniform(0.1, 0.4)
        shapes.add("box", poster, (*size, 0.03), colours.material(PICTURES, 2 * size[0], 0.2, 0.95), turn)
    for _ in range(int(draw.integers(14, 25))):
        _thing(draw, shapes, colours, deep, floor)
    viewpoints = pair(draw, (0.8, 1.7), draw.uniform(0.5, 0.9) * deep, forward=0.15)
    light = Light(
        lamp=(draw.uniform(-3, 3), draw.uniform(-3.5, -1.5), draw.uniform(-2.0, 0.8 * deep)),
        strength=draw.uniform(0.5, 1.2),
        reach=draw.uniform(2.0, 6.0),
        ambient=draw.uniform(0.25, 0.55),
        fog=0.0,
        air=(0.5, 0.5, 0.5),
        exposure=draw.uniform(0.7, 1.4),
    )
    return Description(shapes.without_near(viewpoints.centres, 0.25), light, viewpoints)


def _thing(draw: Generator, shapes: Shapes, colours: Palette, deep: float, floor: float) -> None:
    z = deep * draw.uniform(0.3, 0.97)
    reach = 0.5 * z
    size = 0.05 * z * float(np.exp(draw.uniform(-0.6, 0.9)))  # as a share of the distance: nothing fills the picture
    kind = ("box", "box", "ellipsoid", "cylinder", "cylinder")[int(draw.integers(5))]
    half = np.array([size, size, size]) * np.exp(draw.normal(0.0, 0.35, 3))
    if draw.uniform() < 0.35:  # a pipe or a bar
        half = np.array([0.12 * size, 2.2 * size, 0.12 * size]) * draw.uniform(0.7, 1.6)
    elif draw.uniform() < 0.25:  # a plate
        half = np.array([1.2 * size, 1.2 * size, 0.05 * size])
    standing = draw.uniform() < 0.5
    turn = upright(draw.uniform(0, 2 * np.pi)) if standing else any_turn(draw)
    y = floor - half[1] if standing else draw.uniform(-0.35 * z, floor - 0.5 * size)
    place = draw.uniform(-reach, reach), float(y), z
    shapes.add(kind, place, (half[0], half[1], half[2]), colours.material(THINGS, 2.5 * size), turn)
