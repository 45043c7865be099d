"""The procedural room: its points agree with its photographs, it has holes to fill, and seeds differ."""

from __future__ import annotations

import time

import numpy as np
import pytest

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes import Scene, camera_path
from videoscene_rt.scenes.room import procedural_room


def _pixels(scene: Scene, pose: np.ndarray, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    local = scene.xyz @ pose[:3, :3].T + pose[:3, 3]
    pixels = local @ camera.T
    u, v = np.floor(pixels[:, :2].T / pixels[:, 2] + 0.5).astype(int)
    return u, v, local[:, 2]


def test_the_same_arguments_give_the_same_bits() -> None:
    one, other = procedural_room(60, 80, seed=3), procedural_room(60, 80, seed=3)
    for name in ("images", "xyz", "rgb", "intrinsics", "world_to_camera"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("seed", range(4))
def test_every_point_is_where_the_photographs_show_it(seed: int) -> None:
    room = procedural_room(90, 120, seed=seed)
    assert room.num_points == 2 * 90 * 120
    for i in range(2):
        own = slice(i * 90 * 120, (i + 1) * 90 * 120)
        u, v, z = _pixels(room, room.world_to_camera[i], room.intrinsics[i])
        assert np.array_equal(v[own] * 120 + u[own], np.arange(90 * 120))  # one point in every pixel of its camera
        assert z[own].min() > 0.5
        shown = room.images[i].reshape(-1, 3).astype(int)
        assert np.median(np.abs(shown - room.rgb[own])) <= 6


@pytest.mark.parametrize("seed", range(4))
def test_the_two_cameras_see_the_same_room(seed: int) -> None:
    """A surface that both see has the same place and colour; what the other camera cannot see is hidden from it, not in front."""
    room = procedural_room(90, 120, seed=seed)
    half = 90 * 120
    u, v, z = _pixels(room, room.world_to_camera[1], room.intrinsics[1])
    depth = z[half:].reshape(90, 120)
    inside = (u[:half] >= 1) & (u[:half] < 119) & (v[:half] >= 1) & (v[:half] < 89) & (z[:half] > 0)
    rows, columns = v[:half][inside], u[:half][inside]
    around = np.stack([depth[rows + i, columns + j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
    mine = z[:half][inside]
    assert (mine < around.min(axis=0) * 0.98 - 0.02).mean() < 0.01
    seen = np.abs(mine - depth[rows, columns]) < 0.01 * mine
    assert seen.mean() > 0.4
    difference = np.abs(room.images[1][rows, columns].astype(int) - room.rgb[:half][inside])[seen]
    assert np.median(difference) <= 8


@pytest.mark.parametrize("seed", range(3))
def test_between_the_cameras_there_are_holes_and_most_of_the_room(seed: int) -> None:
    room = procedural_room(90, 120, seed=seed)
    path = camera_path(room, 9)
    u, v, z = _pixels(room, path.world_to_camera[4], path.intrinsics[4])
    inside = (u >= 0) & (u < 120) & (v >= 0) & (v < 90) & (z > 0)
    covered = np.zeros((90, 120), bool)
    covered[v[inside], u[inside]] = True
    assert 0.01 < 1 - covered.mean() < 0.3


def test_seeds_vary_the_room_the_cameras_and_the_depth() -> None:
    rooms = [procedural_room(48, 64, seed=seed) for seed in range(5)]
    baselines, turns, depths, focals = [], [], [], []
    for room in rooms:
        poses = room.world_to_camera.astype(np.float64)
        centres = [-pose[:3, :3].T @ pose[:3, 3] for pose in poses]
        baselines.append(np.linalg.norm(centres[1] - centres[0]))
        turns.append(np.degrees(np.arccos((np.trace(poses[1, :3, :3] @ poses[0, :3, :3].T) - 1) / 2)))
        depths.append(room.xyz[:, 2].max())
        focals.append(room.intrinsics[0, 0, 0])
    for values, spread in ((baselines, 0.15), (turns, 2.0), (depths, 1.0), (focals, 3.0)):
        assert max(values) - min(values) > spread
    for i in range(5):
        for j in range(i):
            assert np.abs(rooms[i].images.astype(int) - rooms[j].images).mean() > 15


def test_fewer_points_are_evenly_spaced() -> None:
    assert procedural_room(48, 64, points=1000).num_points == 1000
    with pytest.raises(InputError, match="points: 6145"):
        procedural_room(48, 64, points=48 * 64 * 2 + 1)
    with pytest.raises(InputError, match="8 px high"):
        procedural_room(8, 64)


def test_the_default_takes_under_two_seconds() -> None:
    start = time.process_time()
    room = procedural_room()
    assert time.process_time() - start < 2.5
    assert room.images.shape == (2, 240, 320, 3)
