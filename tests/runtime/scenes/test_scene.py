"""A Scene refuses what it cannot be, and says which field, index and value is wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.runtime.scenes.builders import fields, scene
from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes import Scene


def _changed(name: str, index: Any, value: Any) -> np.ndarray:
    array = fields(trajectory=np.tile(np.eye(4, dtype=np.float32), (9, 1, 1)))[name].copy()
    array[index] = value
    return array


def _refusal(**changes: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        scene(**changes)
    assert "\n" not in caught.value.problem
    return caught.value


def test_a_valid_scene_keeps_its_arrays_without_a_copy() -> None:
    given = fields()
    made = Scene(**given)
    for name in ("images", "xyz", "rgb", "intrinsics", "world_to_camera"):
        assert np.shares_memory(getattr(made, name), given[name]), name
    assert (made.height, made.width, made.num_points) == (24, 32, 50)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.xyz = given["xyz"]  # type: ignore[misc]


def test_float64_and_lists_become_dense_float32() -> None:
    given = fields()
    made = scene(
        xyz=given["xyz"].astype(np.float64)[:, :],
        world_to_camera=given["world_to_camera"].tolist(),
        intrinsics=np.asfortranarray(given["intrinsics"].astype(np.float64)),
    )
    for name in ("xyz", "world_to_camera", "intrinsics"):
        array = getattr(made, name)
        assert array.dtype == np.float32, name
        assert array.flags.c_contiguous, name
        assert np.array_equal(array, given[name]), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": np.zeros((3, 24, 32, 3), np.uint8)}, ["images", "3 given", "exactly two"]),
        ({"images": np.zeros((1, 24, 32, 3), np.uint8)}, ["images", "1 given"]),
        ({"images": np.zeros((2, 1, 1, 3), np.uint8)}, ["images", "1 px", "16 to 16384"]),
        ({"images": np.zeros((2, 16, 20000, 3), np.uint8)}, ["images", "20000 px wide", "16 to 16384"]),
        ({"images": np.zeros((2, 24, 32, 4), np.uint8)}, ["images", "[2, 24, 32, 4]", "[2,H,W,3]"]),
        ({"images": np.zeros((2, 24, 32, 3), np.float32)}, ["images", "float32", "uint8"]),
        ({"images": None}, ["images"]),
        ({"images": [np.zeros((24, 32, 3), np.uint8), np.zeros((24, 33, 3), np.uint8)]}, ["images"]),
        ({"xyz": np.zeros((0, 3), np.float32), "rgb": np.zeros((0, 3), np.uint8)}, ["xyz", "empty"]),
        ({"xyz": _changed("xyz", (7, 2), np.nan)}, ["xyz[7,2]", "nan"]),
        ({"xyz": _changed("xyz", (49, 0), np.inf)}, ["xyz[49,0]", "inf"]),
        ({"xyz": _changed("xyz", (0, 1), -np.inf)}, ["xyz[0,1]", "-inf"]),
        ({"xyz": np.full((50, 3), 1e39)}, ["xyz[0,0]", "1e+39"]),
        ({"xyz": np.zeros((50, 4), np.float32)}, ["xyz", "[50, 4]"]),
        ({"xyz": np.array([["a", "b", "c"]])}, ["xyz", "numbers"]),
        ({"rgb": None}, ["rgb", "no colours"]),
        ({"rgb": np.zeros((49, 3), np.uint8)}, ["rgb", "49 colours for 50 points"]),
        ({"rgb": np.zeros((50, 3), np.float32)}, ["rgb", "float32", "uint8"]),
        ({"rgb": np.zeros((50, 4), np.uint8)}, ["rgb", "[50, 4]"]),
        ({"intrinsics": _changed("intrinsics", (1, 0, 0), 0)}, ["intrinsics[1]", "fx = 0"]),
        ({"intrinsics": _changed("intrinsics", (0, 1, 1), -30)}, ["intrinsics[0]", "fy = -30"]),
        ({"intrinsics": _changed("intrinsics", (0, 0, 0), 0.9)}, ["intrinsics[0]", "fx = 0.9", "32×24", "normalised"]),
        ({"intrinsics": _changed("intrinsics", (1, 0, 2), 500)}, ["intrinsics[1]", "cx = 500", "32×24"]),
        ({"intrinsics": _changed("intrinsics", (1, 1, 2), -100)}, ["intrinsics[1]", "cy = -100"]),
        ({"intrinsics": _changed("intrinsics", (0, 0, 1), 0.5)}, ["intrinsics[0]", "skew 0.5"]),
        ({"intrinsics": _changed("intrinsics", (0, 2, 2), 2)}, ["intrinsics[0]", "last row 0 0 2"]),
        ({"intrinsics": _changed("intrinsics", (1, 1, 1), np.nan)}, ["intrinsics[1,1,1]", "nan"]),
        ({"intrinsics": np.eye(3)}, ["intrinsics", "[3, 3]", "[2,3,3]"]),
        ({"world_to_camera": _changed("world_to_camera", (1, 0, 0), 1.2)}, ["world_to_camera[1]", "rigid"]),
        ({"world_to_camera": _changed("world_to_camera", (0, 0, 0), -1)}, ["world_to_camera[0]", "mirrors"]),
        ({"world_to_camera": _changed("world_to_camera", (0, 3, 2), 0.5)}, ["world_to_camera[0]", "0 0 0.5 1"]),
        ({"world_to_camera": _changed("world_to_camera", (1, 0, 3), np.nan)}, ["world_to_camera[1,0,3]", "nan"]),
        ({"world_to_camera": _changed("world_to_camera", (1, 0, 3), 5e6)}, ["world_to_camera[1]", "5e+06 m"]),
        ({"world_to_camera": 2 * np.tile(np.eye(4), (2, 1, 1))}, ["world_to_camera[0]"]),
        ({"world_to_camera": np.tile(np.eye(4), (3, 1, 1))}, ["world_to_camera", "[3, 4, 4]", "[2,4,4]"]),
        ({"trajectory": _changed("trajectory", (4, 1, 1), 0.5)}, ["trajectory[4]", "rigid"]),
        ({"trajectory": _changed("trajectory", (8, 2, 3), np.inf)}, ["trajectory[8,2,3]", "inf"]),
        ({"trajectory": np.zeros((0, 4, 4))}, ["trajectory", "[0, 4, 4]", "[F,4,4]"]),
        ({"timestamp_ns": -1}, ["timestamp_ns", "-1"]),
        ({"timestamp_ns": 1.5}, ["timestamp_ns", "1.5"]),
        ({"timestamp_ns": True}, ["timestamp_ns", "True"]),
    ],
)
def test_bad_field_is_named(changes: dict[str, Any], words: list[str]) -> None:
    message = str(_refusal(**changes))
    for word in words:
        assert word in message


def test_transposed_matrix_gets_the_hint() -> None:
    matrices = fields()["world_to_camera"].transpose(0, 2, 1)
    error = _refusal(world_to_camera=matrices)
    assert "world_to_camera[1]" in error.problem
    assert error.remedy is not None
    assert "last column" in error.remedy


def test_cloud_behind_both_cameras() -> None:
    error = _refusal(xyz=fields()["xyz"] * np.float32(-1))
    assert "all 50 points lie behind both cameras" in error.problem
    assert "z forward" in str(error.remedy)


def test_cloud_behind_the_trajectory() -> None:
    away = np.tile(np.diag([-1.0, 1, -1, 1]), (9, 1, 1))
    assert "behind all 9 poses of the trajectory" in _refusal(trajectory=away).problem


def test_one_point_before_one_camera_is_enough() -> None:
    xyz = -fields()["xyz"]
    xyz[31] = [0, 0, 0.5]
    assert scene(xyz=xyz).num_points == 50


def test_matrices_written_with_four_decimals_pass() -> None:
    rounded = np.round(fields()["world_to_camera"].astype(np.float64), 4)
    assert scene(world_to_camera=rounded)
