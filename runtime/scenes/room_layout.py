"""What varies from room to room: walls, furniture, colours, lamp, lens, and the two viewpoints."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from videoscene_rt.scenes.raycast import Ball, Box, Room
from videoscene_rt.scenes.textures import Colour, Material, Noise

_EYE = 1.45
"""Height of the cameras above the floor, metres; the first camera stands near the origin."""


@dataclass(frozen=True)
class Viewpoint:
    """A camera upright in the room: where it stands, the point it looks at, and its focal length over image width."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    focal: float

    def world_to_camera(self) -> NDArray[np.float64]:
        """float64[4,4]: x right, y down, z towards the target."""
        position = np.array(self.position)
        forward = np.array(self.target) - position
        forward /= np.linalg.norm(forward)
        right = np.cross((0.0, 1.0, 0.0), forward)
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3, :3] = right, np.cross(forward, right), forward
        pose[:3, 3] = -pose[:3, :3] @ position
        return pose

    def intrinsics(self, height: int, width: int) -> NDArray[np.float64]:
        """float64[3,3], pixels, the principal point at the centre of the image."""
        focal = self.focal * max(width, height)
        return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])


def random_layout(generator: Generator) -> tuple[Room, tuple[Viewpoint, Viewpoint]]:
    """A furnished room and two viewpoints in it."""
    depth, half_width = generator.uniform(4.0, 7.5), generator.uniform(1.9, 3.0)
    low, high = (-half_width, _EYE - generator.uniform(2.5, 3.1), -1.5), (half_width, _EYE, depth)
    hue = generator.uniform()
    walls = _walls(generator, hue)
    things = (*_furniture(generator, half_width, depth, hue), *_pictures(generator, half_width, depth, hue))
    lamp = (generator.uniform(-1, 1) * 0.6 * half_width, low[1] + 0.3, generator.uniform(0.25, 0.6) * depth)
    room = Room(low, high, walls, things, lamp, Noise.random(generator))
    return room, _viewpoints(generator, depth)


def _viewpoints(generator: Generator, depth: float) -> tuple[Viewpoint, Viewpoint]:
    baseline = generator.uniform(0.4, 0.9)
    focal = generator.uniform(0.7, 0.95)
    target = (generator.uniform(-0.3, 0.3), _EYE - generator.uniform(0.75, 1.0), 0.6 * depth)
    drift = generator.uniform(-0.5, 0.5)
    first = Viewpoint((-baseline / 2, generator.uniform(-0.2, 0.1), 0.0), target, focal)
    second = Viewpoint(
        (baseline / 2, generator.uniform(-0.2, 0.1), generator.uniform(-0.1, 0.35)),
        (target[0] + drift, target[1] + generator.uniform(-0.15, 0.15), target[2]),
        focal * generator.uniform(0.96, 1.04),
    )
    return first, second


def _walls(generator: Generator, hue: float) -> tuple[Material, ...]:
    side = _material(generator, ("bricks", "stripes", "plain", "marble"), hue, 0.28, 0.85, 0.7)
    back = _material(generator, ("bricks", "checker", "marble", "dots"), hue + 0.08, 0.32, 0.85, 0.6)
    floor = _material(generator, ("planks", "checker", "marble"), 0.08, 0.45, 0.65, 0.7)
    ceiling = _material(generator, ("plain",), hue, 0.08, 0.9, 1.0)
    return side, side, ceiling, floor, back, back


def _furniture(generator: Generator, half_width: float, depth: float, hue: float) -> list[Box | Ball]:
    """Boxes and balls on the floor: one close to the cameras, so that it hides much of what is behind it."""
    things: list[Box | Ball] = []
    places = [(generator.choice((-1, 1)) * generator.uniform(0.15, 0.5), generator.uniform(1.7, 2.2))]
    wanted = int(generator.integers(5, 8))
    for _ in range(200):
        place = generator.uniform(-0.8, 0.8) * half_width, generator.uniform(2.4, depth - 0.6)
        if len(places) < wanted and all(np.hypot(place[0] - x, place[1] - z) > 0.85 for x, z in places):
            places.append(place)
    for number, (x, z) in enumerate(places):
        material = _material(
            generator,
            ("checker", "stripes", "marble", "dots", "bricks", "planks"),
            generator.uniform(),
            0.55,
            0.85,
            0.3,
        )
        size = generator.uniform(0.18, 0.26) if number == 0 else generator.uniform(0.25, 0.45)
        if generator.uniform() < 0.4:
            things.append(Ball((x, _EYE - size, z), size, material))
            continue
        half_height = size * generator.uniform(1.3, 2.2)
        half = (size * generator.uniform(0.7, 1.0), half_height, size * generator.uniform(0.7, 1.0))
        things.append(Box((x, _EYE - half_height, z), half, generator.uniform(0, np.pi / 2), material))
        if generator.uniform() < 0.5:
            radius = 0.6 * min(half[0], half[2])
            top = _material(generator, ("marble", "dots", "stripes"), generator.uniform(), 0.6, 0.9, 0.15)
            things.append(Ball((x, _EYE - 2 * half_height - radius, z), radius, top))
    return things


def _pictures(generator: Generator, half_width: float, depth: float, hue: float) -> list[Box]:
    """Two frames on the back wall and one on a side wall."""
    pictures = []
    for side in (-1, 1):
        material = _material(generator, ("marble", "dots", "checker"), hue + 0.5, 0.6, 0.95, 0.25)
        centre = (side * generator.uniform(0.3, 0.55) * half_width, generator.uniform(-0.5, -0.1), depth)
        half = (generator.uniform(0.25, 0.45), generator.uniform(0.2, 0.35), 0.04)
        pictures.append(Box(centre, half, 0.0, material))
    material = _material(generator, ("stripes", "marble"), hue + 0.3, 0.6, 0.9, 0.3)
    side = generator.choice((-1, 1))
    pictures.append(
        Box((side * half_width, -0.3, generator.uniform(0.5, 0.7) * depth), (0.04, 0.3, 0.5), 0.0, material)
    )
    return pictures


def _material(
    generator: Generator, kinds: tuple[str, ...], hue: float, saturation: float, value: float, scale: float
) -> Material:
    kind = kinds[int(generator.integers(len(kinds)))]
    first = _linear(hue + generator.uniform(-0.05, 0.05), saturation, value)
    second = _linear(hue + generator.uniform(-0.05, 0.25), saturation * 0.6, value * generator.uniform(0.45, 0.7))
    return Material(kind, first, second, scale * generator.uniform(0.75, 1.25))  # type: ignore[arg-type]


def _linear(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, min(value, 1.0))
    return red**2.2, green**2.2, blue**2.2
