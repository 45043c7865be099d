"""Scale to cover and crop: the intrinsics follow the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.scenes.builders import fields, scene
from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes import Scene, fit


def _project(points: np.ndarray, pose: np.ndarray, camera: np.ndarray) -> np.ndarray:
    local = points.astype(np.float64) @ pose[:3, :3].astype(np.float64).T + pose[:3, 3]
    pixels = local @ camera.astype(np.float64).T
    return pixels[:, :2] / pixels[:, 2:]


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(16, 200),
    width=st.integers(16, 200),
    to_height=st.integers(16, 120),
    to_width=st.integers(16, 120),
)
def test_points_project_where_the_crop_puts_them(height: int, width: int, to_height: int, to_width: int) -> None:
    longest = max(height, width)
    camera = np.array([[longest * 0.9, 0, width * 0.45], [0, longest * 0.95, height * 0.6], [0, 0, 1]])
    given_scene = scene(images=np.zeros((2, height, width, 3), np.uint8), intrinsics=np.stack([camera, camera * 1.0]))
    fitted = fit(given_scene, to_height, to_width)
    assert fitted.images.shape == (2, to_height, to_width, 3)
    # The rule, from the geometry of the resize alone: the image covers the target, and both have the same centre.
    scale = max(to_height / height, to_width / width)
    for i in range(2):
        before = _project(given_scene.xyz, given_scene.world_to_camera[i], given_scene.intrinsics[i])
        after = _project(fitted.xyz, fitted.world_to_camera[i], fitted.intrinsics[i])
        centre_before, centre_after = (
            np.array([(width - 1) / 2, (height - 1) / 2]),
            np.array([(to_width - 1) / 2, (to_height - 1) / 2]),
        )
        assert np.abs((before - centre_before) * scale + centre_after - after).max() < 1e-3


@pytest.mark.parametrize(
    ("height", "width", "to_height", "to_width"),
    [(500, 741, 128, 192), (480, 640, 256, 256), (300, 200, 128, 192), (90, 100, 256, 256), (201, 333, 100, 99)],
)
def test_dots_land_where_the_intrinsics_say(height: int, width: int, to_height: int, to_width: int) -> None:
    scale = max(to_height / height, to_width / width)
    sigma = max(2.0, 1.5 / scale)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    reach = 0.3 * np.array([to_width, to_height]) / scale
    dots = centre + np.array([[-1, -1], [1, -0.7], [0.1, 0.9]]) * reach + [[0.3, -0.2]]
    v, u = np.mgrid[:height, :width]
    image = sum(np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * sigma**2)) for x, y in dots)
    image = np.repeat(np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)
    focal = float(max(height, width))
    camera = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    xyz = np.concatenate([(dots - centre) / focal * 2, np.full((3, 1), 2.0)], axis=1)
    made = Scene(
        np.stack([image, image]), xyz, np.zeros((3, 3), np.uint8), np.stack([camera] * 2), np.stack([np.eye(4)] * 2)
    )
    fitted = fit(made, to_height, to_width)
    expected = _project(fitted.xyz, fitted.world_to_camera[0], fitted.intrinsics[0])
    light = fitted.images[0, :, :, 0].astype(np.float64)
    rows, columns = np.mgrid[:to_height, :to_width]
    for x, y in expected:
        window = light * (np.hypot(columns - x, rows - y) < 4 * sigma * scale)
        found = np.array([(window * columns).sum(), (window * rows).sum()]) / window.sum()
        assert np.abs(found - [x, y]).max() < 0.06


def test_the_same_size_changes_nothing() -> None:
    made = scene()
    fitted = fit(made, made.height, made.width)
    assert np.array_equal(fitted.images, made.images)
    assert np.array_equal(fitted.intrinsics, made.intrinsics)


def test_the_rest_is_carried_over() -> None:
    trajectory = np.tile(np.eye(4), (9, 1, 1))
    made = scene(trajectory=trajectory, timestamp_ns=7)
    fitted = fit(made, 16, 16)
    assert fitted.xyz is made.xyz
    assert fitted.rgb is made.rgb
    assert fitted.world_to_camera is made.world_to_camera
    assert fitted.trajectory is made.trajectory
    assert fitted.timestamp_ns == 7
    assert fitted.intrinsics.dtype == np.float32


def test_flat_colour_stays_flat() -> None:
    made = scene(images=np.full((2, 24, 32, 3), 77, np.uint8))
    assert (fit(made, 50, 40).images == 77).all()


def test_no_size_is_refused() -> None:
    with pytest.raises(InputError, match="0×16"):
        fit(Scene(**fields()), 16, 0)
