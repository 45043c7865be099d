"""Rooms: walls, floor and ceiling, furniture, pictures, a lamp."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from videoscene_rt.export.distill.world.description import Description, Light, Shapes, upright
from videoscene_rt.export.distill.world.palette import FLOORS, PICTURES, THINGS, WALLS, Palette
from videoscene_rt.export.distill.world.viewpoints import pair


def room(draw: Generator) -> Description:
    """A furnished room of 3 to 7 m by 4 to 9 m; the cameras stand near its front wall at about eye height."""
    colours = Palette(draw)
    wide, deep, floor = draw.uniform(1.6, 3.4), draw.uniform(3.5, 7.5), draw.uniform(1.0, 1.6)
    ceiling = floor - draw.uniform(2.4, 3.1)
    middle, height = (floor + ceiling) / 2, (floor - ceiling) / 2
    shapes = Shapes()
    shapes.add("shell", (0, middle, deep / 2 - 1), (wide, height, deep / 2 + 1.5), colours.material(WALLS, 0.7, 0.4))
    shapes.add("box", (0, floor, deep / 2), (wide + 1, 0.02, deep), colours.material(FLOORS, 0.6))
    shapes.add("box", (0, ceiling, deep / 2), (wide + 1, 0.02, deep), colours.material(("plain", "tiles"), 1.0, 0.6))
    shapes.add("box", (0, middle, deep + 0.4), (wide + 1, height, 0.1), colours.material(WALLS, 0.7, 0.3))
    for _ in range(int(draw.integers(4, 9))):
        at = draw.uniform(-0.9, 0.9) * wide, draw.uniform(0.25, 0.95) * deep
        _FURNITURE[int(draw.integers(len(_FURNITURE)))](draw, shapes, colours, at, floor)
    for _ in range(int(draw.integers(2, 6))):
        _picture(draw, shapes, colours, (wide, middle, deep))
    viewpoints = pair(draw, (0.65, 1.3), 0.6 * deep, forward=0.25)
    light = Light(
        lamp=(draw.uniform(-0.7, 0.7) * wide, ceiling + 0.3, draw.uniform(0.0, 0.8) * deep),
        strength=draw.uniform(0.5, 1.1),
        reach=draw.uniform(2.0, 5.0),
        ambient=draw.uniform(0.3, 0.6),
        fog=0.0,
        air=(0.5, 0.5, 0.5),
        exposure=draw.uniform(0.7, 1.3),
    )
    return Description(shapes.without_near(viewpoints.centres, 0.3), light, viewpoints)


def _cabinet(draw: Generator, shapes: Shapes, colours: Palette, at: tuple[float, float], floor: float) -> None:
    half = draw.uniform(0.15, 0.5), draw.uniform(0.2, 0.9), draw.uniform(0.15, 0.4)
    shapes.add(
        "box",
        (at[0], floor - half[1], at[1]),
        half,
        colours.material(THINGS, 0.4),
        upright(draw.uniform(0, 2 * np.pi)),
    )
    if draw.uniform() < 0.6:
        radius = draw.uniform(0.06, 0.16)
        size = radius, radius * draw.uniform(0.7, 1.6), radius
        kind = "ellipsoid" if draw.uniform() < 0.5 else "cylinder"
        shapes.add(kind, (at[0], floor - 2 * half[1] - size[1], at[1]), size, colours.material(THINGS, 0.15))


def _table(draw: Generator, shapes: Shapes, colours: Palette, at: tuple[float, float], floor: float) -> None:
    half, height = (draw.uniform(0.3, 0.7), draw.uniform(0.25, 0.5)), draw.uniform(0.45, 0.8)
    turn = upright(draw.uniform(0, 2 * np.pi))
    wood = colours.material(("planks", "plain", "marble"), 0.3)
    shapes.add("box", (at[0], floor - height, at[1]), (half[0], 0.025, half[1]), wood, turn)
    for x in (-0.85, 0.85):
        for z in (-0.85, 0.85):
            corner = np.array([x * half[0], 0.0, z * half[1]]) @ turn
            foot = (at[0] + corner[0], floor - height / 2, at[1] + corner[2])
            shapes.add("cylinder", foot, (0.025, height / 2, 0.025), wood)
    for _ in range(int(draw.integers(0, 3))):
        radius = draw.uniform(0.04, 0.13)
        spot = np.array([draw.uniform(-0.7, 0.7) * half[0], 0.0, draw.uniform(-0.7, 0.7) * half[1]]) @ turn
        place = at[0] + spot[0], floor - height - 0.025 - radius, at[1] + spot[2]
        kind = ("box", "ellipsoid", "cylinder")[int(draw.integers(3))]
        shapes.add(kind, place, (radius, radius, radius), colours.material(THINGS, 0.1), turn)


def _shelf(draw: Generator, shapes: Shapes, colours: Palette, at: tuple[float, float], floor: float) -> None:
    wide, high, deep = draw.uniform(0.3, 0.6), draw.uniform(0.6, 1.0), draw.uniform(0.12, 0.2)
    turn = upright(draw.uniform(-0.6, 0.6))
    wood = colours.material(("planks", "plain", "speckle"), 0.3)
    back = np.array([0.0, 0.0, deep]) @ turn
    shapes.add("box", (at[0] + back[0], floor - high, at[1] + back[2]), (wide, high, 0.02), wood, turn)
    for level in range(int(draw.integers(2, 5))):
        y = floor - 2 * high * (level + 0.5) / 4
        shapes.add("box", (at[0], y, at[1]), (wide, 0.015, deep), wood, turn)
        book = draw.uniform(0.06, 0.16)
        spot = np.array([draw.uniform(-0.6, 0.6) * wide, 0.0, 0.0]) @ turn
        shapes.add(
            "box",
            (at[0] + spot[0], y - book, at[1] + spot[2]),
            (draw.uniform(0.03, 0.25), book, deep * 0.7),
            colours.material(("writing", "stripes", "plain", "photograph"), 0.08),
            turn,
        )


def _ball(draw: Generator, shapes: Shapes, colours: Palette, at: tuple[float, float], floor: float) -> None:
    radius = draw.uniform(0.12, 0.45)
    size = radius, radius * draw.uniform(0.6, 1.0), radius * draw.uniform(0.7, 1.0)
    shapes.add("ellipsoid", (at[0], floor - size[1], at[1]), size, colours.material(THINGS, 0.3))


def _lamp(draw: Generator, shapes: Shapes, colours: Palette, at: tuple[float, float], floor: float) -> None:
    height, shade = draw.uniform(0.6, 0.9), draw.uniform(0.12, 0.25)
    shapes.add("cylinder", (at[0], floor - height, at[1]), (0.02, height, 0.02), colours.material(("plain",), 0.3))
    shapes.add(
        "cylinder", (at[0], floor - 2 * height, at[1]), (shade, 0.15, shade), colours.material(("plain", "stripes"), 0.1, 0.7)
    )  # fmt: skip


_FURNITURE = (_cabinet, _cabinet, _table, _shelf, _ball, _lamp)


def _picture(draw: Generator, shapes: Shapes, colours: Palette, walls: tuple[float, float, float]) -> None:
    wide, middle, deep = walls
    size = draw.uniform(0.2, 0.7), draw.uniform(0.15, 0.5)
    look = colours.material(PICTURES, 2 * size[0], 0.2, 0.95)
    y = middle + draw.uniform(-0.4, 0.2)
    if draw.uniform() < 0.6:
        shapes.add("box", (draw.uniform(-0.8, 0.8) * wide, y, deep + 0.28), (size[0], size[1], 0.03), look)
    else:
        side = draw.choice((-1.0, 1.0))
        shapes.add("box", (side * wide, y, draw.uniform(0.3, 0.9) * deep), (0.03, size[1], size[0]), look)
