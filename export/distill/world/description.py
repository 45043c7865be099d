"""What a scene is made of, before any ray: shapes with materials, a light, two cameras. NumPy on the host."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vector = tuple[float, float, float]

KINDS = ("shell", "box", "ellipsoid", "cylinder")
"""A shell is a box seen from inside: the walls of a room, or the sky. A cylinder stands along its own y."""


@dataclass(frozen=True)
class Light:
    """One lamp and what is around it.

    Attributes:
        lamp: where it stands, metres; a sun is a lamp far away.
        strength: of the lamp on a surface that faces it, as a share of white.
        reach: metres at which a lamp's light has fallen to half; 0 for a sun, which does not fall off.
        ambient: light without a direction.
        fog: metres at which the air hides two thirds of a surface; 0 for clear air.
        air: the fog's linear colour.
        exposure: everything is multiplied by it at the end.
    """

    lamp: Vector
    strength: float
    reach: float
    ambient: float
    fog: float
    air: Vector
    exposure: float


@dataclass(frozen=True)
class Viewpoints:
    """The two cameras: world_to_camera float64[2,4,4] (x right, y down, z forward) and focal lengths over image width [2]."""

    world_to_camera: Floats
    focal: Floats

    @property
    def centres(self) -> Floats:
        """Where the cameras stand, float64[2,3]."""
        rotations = self.world_to_camera[:, :3, :3]
        centres: Floats = -np.einsum("nji,nj->ni", rotations, self.world_to_camera[:, :3, 3])
        return centres


@dataclass
class Shapes:
    """Shapes as rows, appended one by one."""

    kinds: list[str] = field(default_factory=list)
    centres: list[Floats] = field(default_factory=list)
    halves: list[Floats] = field(default_factory=list)
    turns: list[Floats] = field(default_factory=list)
    materials: list[Floats] = field(default_factory=list)

    def add(self, kind: str, centre: Vector, half: Vector, material: Floats, turn: Floats | None = None) -> None:
        """Add a shape.

        Args:
            kind: one of `KINDS`.
            centre: world metres.
            half: half its extent along its own axes, metres.
            material: float64[COLUMNS].
            turn: float64[3,3], rows are the shape's own axes in the world; upright where none is given.
        """
        self.kinds.append(kind)
        self.centres.append(np.array(centre, np.float64))
        self.halves.append(np.maximum(np.array(half, np.float64), 1e-3))
        self.turns.append(np.eye(3) if turn is None else turn)
        self.materials.append(material)

    def without_near(self, path: Floats, distance: float) -> Shapes:
        """The shapes whose bounding box keeps that distance from the line between two points float64[2,3]; shells stay."""
        points = path[0] + np.linspace(0.0, 1.0, 5)[:, None] * (path[1] - path[0])
        kept = Shapes()
        for kind, centre, half, turn, material in zip(
            self.kinds, self.centres, self.halves, self.turns, self.materials, strict=True
        ):
            outside = np.maximum(np.abs((points - centre) @ turn.T) - half, 0.0)
            if kind == "shell" or np.linalg.norm(outside, axis=1).min() > distance:
                kept.kinds.append(kind)
                kept.centres.append(centre)
                kept.halves.append(half)
                kept.turns.append(turn)
                kept.materials.append(material)
        return kept


@dataclass(frozen=True)
class Description:
    """A scene; ``shapes`` begin with exactly one shell."""

    shapes: Shapes
    light: Light
    viewpoints: Viewpoints


def upright(yaw: float) -> Floats:
    """A turn about the vertical, radians: float64[3,3]."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])


def any_turn(generator: np.random.Generator) -> Floats:
    """A rotation drawn evenly from all: float64[3,3]."""
    q = generator.normal(size=4)
    x, y, z, w = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
