"""The camera path against scipy, and its ends, edges and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from tests.runtime.scenes.builders import fields, pose, scene
from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes import camera_path, fit
from videoscene_rt.scenes.trajectory import between, slerp

_numbers = st.floats(-1, 1, allow_nan=False)
_vectors = st.tuples(_numbers, _numbers, _numbers).map(np.array)


def _cameras(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.stack([first, second]).astype(np.float32)


@settings(max_examples=80, deadline=None)
@given(_vectors, _vectors, _vectors, _vectors, st.sampled_from([9, 17, 25, 49]))
def test_against_scipy(a: np.ndarray, b: np.ndarray, start: np.ndarray, end: np.ndarray, frames: int) -> None:
    first, second = Rotation.from_rotvec(1.5 * a), Rotation.from_rotvec(1.5 * b)
    cameras = fields()["intrinsics"]
    cameras[1, :2] *= 1.25
    path = between(_cameras(pose(first, start), pose(second, end)), cameras, frames)
    s = np.array([(1 - np.cos(np.pi * i / (frames - 1))) / 2 for i in range(frames)])
    rotations = Slerp([0, 1], Rotation.concatenate([first, second]))(s)
    for i in range(frames):
        centre = (1 - s[i]) * start + s[i] * end
        assert np.abs(path.world_to_camera[i] - pose(rotations[i], centre)).max() < 3e-6
        assert np.abs(path.intrinsics[i] - ((1 - s[i]) * cameras[0] + s[i] * cameras[1])).max() < 1e-5


def test_the_ends_are_the_given_cameras_bit_for_bit() -> None:
    made = scene(world_to_camera=np.round(fields()["world_to_camera"], 4))
    path = camera_path(made, 9)
    assert np.array_equal(path.world_to_camera[[0, -1]], made.world_to_camera)
    assert np.array_equal(path.intrinsics[[0, -1]], made.intrinsics)
    assert path.world_to_camera.dtype == path.intrinsics.dtype == np.float32


def test_half_way_is_in_the_middle() -> None:
    path = between(
        _cameras(np.eye(4), pose(Rotation.from_euler("y", 40, degrees=True), [2, 0, 0])), fields()["intrinsics"], 9
    )
    middle = pose(Rotation.from_euler("y", 20, degrees=True), [1, 0, 0])
    assert np.abs(path.world_to_camera[4] - middle).max() < 1e-6


@pytest.mark.parametrize("degrees", [0, 1e-12, 1e-8, 1e-5, 1e-3, 179.0, 179.999, 179.99999999, 180.0])
def test_turns_near_zero_and_half_a_turn(degrees: float) -> None:
    axis = np.array([0.36, 0.48, 0.8])
    start = Rotation.from_euler("xyz", [20, 30, 40], degrees=True)
    end = start * Rotation.from_rotvec(axis * np.radians(degrees))
    s = np.linspace(0, 1, 9)
    turned = slerp(start.as_matrix(), end.as_matrix(), s)
    assert np.abs(turned @ turned.transpose(0, 2, 1) - np.eye(3)).max() < 1e-12
    assert np.linalg.det(turned) == pytest.approx(1)
    # At half a turn either way round is right: the angle from the start grows evenly all the same.
    angles = (start.inv() * Rotation.from_matrix(turned)).magnitude()
    assert np.abs(angles - s * np.radians(degrees)).max() < 1e-7
    assert np.abs(turned[-1] - end.as_matrix()).max() < 1e-9


def test_identical_cameras_stand_still() -> None:
    camera = pose(Rotation.from_euler("xyz", [5, 6, 7], degrees=True), [3, 2, 1]).astype(np.float32)
    path = between(np.stack([camera, camera]), fields()["intrinsics"], 17)
    assert np.abs(path.world_to_camera - camera).max() < 1e-6


def test_a_given_trajectory_uses_the_first_camera() -> None:
    trajectory = np.stack([pose(Rotation.from_euler("y", i, degrees=True), [0.1 * i, 0, 0]) for i in range(9)])
    cameras = fields()["intrinsics"]
    cameras[1, :2] *= 1.1
    fitted = fit(scene(trajectory=trajectory, intrinsics=cameras), 16, 32)
    path = camera_path(fitted, 9)
    assert np.array_equal(path.world_to_camera, trajectory.astype(np.float32))
    assert np.array_equal(path.intrinsics, np.stack([fitted.intrinsics[0]] * 9))


def test_a_trajectory_of_the_wrong_length_names_both_numbers() -> None:
    made = scene(trajectory=np.tile(np.eye(4), (10, 1, 1)))
    with pytest.raises(InputError, match=r"10 poses.* 9 frames"):
        camera_path(made, 9)


def test_one_frame_is_no_path() -> None:
    with pytest.raises(InputError, match="frames: 1"):
        camera_path(scene(), 1)
