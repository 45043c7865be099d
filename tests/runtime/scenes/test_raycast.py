"""The ray caster against signed distances: hits lie on a surface, and nothing stands before them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from videoscene_rt.scenes.raycast import Ball, Box, Room, trace
from videoscene_rt.scenes.textures import Material, Noise

_PLAIN = Material("plain", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 1.0)
_LOW, _HIGH = (-2.0, -1.5, -1.0), (2.0, 1.5, 5.0)


def _distance(points: np.ndarray, room: Room) -> np.ndarray:
    """Distance from points [N,3] to the nearest surface, negative inside a thing or beyond a wall."""
    walls = np.minimum(points - _LOW, np.array(_HIGH) - points).min(axis=1)
    distances = [walls]
    for thing in room.things:
        local = points - np.array(thing.centre)
        if isinstance(thing, Ball):
            distances.append(np.linalg.norm(local, axis=1) - thing.radius)
        else:
            # The box's own x axis is (cos yaw, 0, −sin yaw) in the world: it is turned by +yaw about y.
            local = Rotation.from_euler("y", thing.yaw).inv().apply(local)
            outside = np.abs(local) - thing.half
            distances.append(np.linalg.norm(np.maximum(outside, 0), axis=1) + np.minimum(outside.max(axis=1), 0))
    return np.min(distances, axis=0)


@pytest.mark.parametrize("seed", range(3))
def test_hits_are_the_first_surface(seed: int) -> None:
    generator = np.random.default_rng(seed)
    things: list[Box | Ball] = [
        Box(tuple(generator.uniform([-1.2, -1, 1.5], [1.2, 1, 4])), (0.4, 0.6, 0.2), generator.uniform(0, 3), _PLAIN)
        for _ in range(3)
    ]
    things += [Ball(tuple(generator.uniform([-1.2, -1, 1.5], [1.2, 1, 4])), 0.4, _PLAIN) for _ in range(2)]
    room = Room(_LOW, _HIGH, (_PLAIN,) * 6, tuple(things), (0.0, -1.2, 1.0), Noise.random(generator))
    directions = generator.normal(size=(3, 4000))
    origin = np.array([0.1, 0.2, 0.3])
    positions, colours = trace(room, origin, directions)
    assert np.abs(_distance(positions.T, room)).max() < 1e-9
    lengths = positions.T - origin
    along = (lengths * directions.T).sum(axis=1) / (directions * directions).sum(axis=0)
    assert (along > 0).all()
    assert np.abs(lengths - along[:, None] * directions.T).max() < 1e-9
    for part in np.linspace(0.01, 0.995, 60):
        assert (_distance(origin + part * lengths, room) > 0).all()
    on_things = np.abs(np.minimum(positions.T - _LOW, np.array(_HIGH) - positions.T).min(axis=1)) > 1e-6
    assert 0.03 < on_things.mean() < 0.6
    assert (colours > 0).all()


def test_a_thing_throws_a_shadow_on_the_floor() -> None:
    noise = Noise(np.zeros((32, 32, 32), np.float32))
    ball = Ball((0.0, 0.5, 3.0), 0.4, _PLAIN)
    room = Room(_LOW, _HIGH, (_PLAIN,) * 6, (ball,), (0.0, -1.4, 3.0), noise)
    origin = np.array([0.0, 0.0, 0.0])
    under, beside = np.array([0.0, 1.5, 2.9]), np.array([1.5, 1.5, 2.9])
    positions, colours = trace(room, origin, np.stack([under, beside], axis=1))
    assert np.abs(positions.T - [under, beside]).max() < 1e-9
    assert colours[0, 0] < 0.7 * colours[0, 1]
