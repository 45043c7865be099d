"""The motorcycle: its points against the disparity and the right photograph; and the ladder of the demo's scene."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.data import require_motorcycle
from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes import Scene
from videoscene_rt.scenes.middlebury import MotorcycleNotFound, demo_scene, motorcycle, stereo_scene


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> tuple[Scene, np.ndarray]:
    folder = require_motorcycle()
    monkeypatch.setenv("VSRT_DATA", str(folder))
    with np.load(folder / "motorcycle" / "motorcycle_disp.npz") as arrays:
        return motorcycle(), arrays["arr_0"]


def _project(scene: Scene, i: int) -> tuple[np.ndarray, np.ndarray]:
    pose, camera = scene.world_to_camera[i].astype(np.float64), scene.intrinsics[i].astype(np.float64)
    local = scene.xyz.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    u, v = (local @ camera.T)[:, :2].T / local[:, 2]
    return u, v


def test_points_project_to_their_pixel_and_its_match(pair: tuple[Scene, np.ndarray]) -> None:
    scene, disparity = pair
    v, u = np.nonzero(np.isfinite(disparity))
    assert scene.num_points == len(u) == 343_274
    left_u, left_v = _project(scene, 0)
    right_u, right_v = _project(scene, 1)
    assert np.abs(left_u - u).max() < 1e-3
    assert np.abs(left_v - v).max() < 1e-3
    assert np.abs(right_u - (u - disparity[v, u])).max() < 1e-3
    assert np.abs(right_v - v).max() < 1e-3
    assert np.array_equal(scene.rgb, scene.images[0][v, u])


def test_the_right_photograph_shows_the_same_colours(pair: tuple[Scene, np.ndarray]) -> None:
    scene, _ = pair
    chosen = np.random.default_rng(0).choice(scene.num_points, 20_000, replace=False)
    u, v = (np.rint(axis[chosen]).astype(int) for axis in _project(scene, 1))
    inside = (u >= 0) & (u < 741)
    shown = scene.images[1][v[inside], u[inside]].astype(int)
    difference = np.abs(shown - scene.rgb[chosen][inside]).mean(axis=1)
    shifted = np.abs(scene.images[1][v[inside], (u[inside] + 20) % 741].astype(int) - scene.rgb[chosen][inside]).mean(
        axis=1
    )
    assert np.median(difference) < 8
    assert np.median(difference) < np.median(shifted) / 2


def test_depths_are_those_of_the_garage(pair: tuple[Scene, np.ndarray]) -> None:
    scene, _ = pair
    assert 1.9 < scene.xyz[:, 2].min() < 2.3
    assert 4.5 < scene.xyz[:, 2].max() < 5.5


def test_unknown_disparities_give_no_point() -> None:
    disparity = np.full((500, 741), np.inf, np.float32)
    disparity[3, 5], disparity[4, 6] = 20, np.nan
    image = np.zeros((500, 741, 3), np.uint8)
    scene = stereo_scene(image, image, disparity)
    assert scene.num_points == 1
    assert scene.xyz[0, 2] == pytest.approx(994.978 * 0.193001 / 51.086)
    with pytest.raises(InputError, match="disparity has shape"):
        stereo_scene(image, image, disparity[:-1])


def test_without_either_source_the_demo_takes_the_room_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VSRT_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "skimage.data", None)  # importing it fails
    with pytest.raises(MotorcycleNotFound, match="VSRT_DATA"):
        motorcycle()
    scene, note = demo_scene()
    assert scene.images.shape == (2, 240, 320, 3)
    assert scene.num_points == 24_000, "few enough that the demo shows holes"
    assert "procedural room" in note
    assert str(tmp_path) in note
    assert "\n" not in note
    monkeypatch.delenv("VSRT_DATA")
    assert "$VSRT_DATA names no folder" in demo_scene()[1]


def test_scikit_image_is_the_second_source(monkeypatch: pytest.MonkeyPatch, pair: tuple[Scene, np.ndarray]) -> None:
    scene, disparity = pair
    skimage_data = pytest.importorskip("skimage.data")
    monkeypatch.delenv("VSRT_DATA")
    monkeypatch.setattr(skimage_data, "stereo_motorcycle", lambda: (*scene.images, disparity))
    found, note = demo_scene()
    assert np.array_equal(found.xyz, scene.xyz)
    assert "motorcycle" in note


def test_a_damaged_file_is_named_and_not_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = require_motorcycle() / "motorcycle"
    (tmp_path / "motorcycle").mkdir()
    for path in folder.iterdir():
        (tmp_path / "motorcycle" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "motorcycle" / "motorcycle_disp.npz").write_bytes(b"no zip")
    monkeypatch.setenv("VSRT_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"motorcycle_disp\.npz") as caught:
        demo_scene()
    assert not isinstance(caught.value, MotorcycleNotFound)
