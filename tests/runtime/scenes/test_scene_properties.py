"""Random scenes, good and bad, through validation, fitting and the path: an answer that holds, or an InputError."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from tests.runtime.scenes.builders import fields, pose, refusal
from videoscene_rt.scenes import Scene, camera_path, fit, thin

_any_float = st.floats(width=32) | st.sampled_from([0.0, 1.0, -1.0, 1e38, float("nan"), float("inf")])
_shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
_arrays = hnp.arrays(st.sampled_from([np.float32, np.float64]), _shapes, elements=_any_float)
_junk = (
    st.none()
    | st.integers()
    | st.text(max_size=3)
    | st.lists(st.integers(-5, 300), max_size=3)
    | _arrays
    | hnp.arrays(st.sampled_from([np.uint8, np.bool_, np.int64]), _shapes)
)


@st.composite
def _valid(draw: st.DrawFn) -> dict[str, Any]:
    height, width = draw(st.integers(16, 90)), draw(st.integers(16, 90))
    longest = max(height, width)
    cameras = []
    for _ in range(2):
        fx, fy = (longest * draw(st.floats(0.1, 50)) for _ in range(2))
        cameras.append([[fx, 0, draw(st.floats(0, width))], [0, fy, draw(st.floats(0, height))], [0, 0, 1]])
    vectors = st.tuples(*[st.floats(-4, 4)] * 3)
    poses = [pose(Rotation.from_rotvec(draw(vectors)), draw(vectors)) for _ in range(2)]
    count = draw(st.integers(1, 30))
    local = draw(hnp.arrays(np.float64, (count, 3), elements=st.floats(-1, 1, width=32))) + np.array([0, 0, 2])
    xyz = (local - poses[0][:3, 3]) @ poses[0][:3, :3]
    return {
        "images": np.full((2, height, width, 3), draw(st.integers(0, 255)), np.uint8),
        "xyz": xyz,
        "rgb": np.zeros((count, 3), np.uint8),
        "intrinsics": np.array(cameras),
        "world_to_camera": np.stack(poses),
        "timestamp_ns": draw(st.none() | st.integers(0, 2**63 - 1)),
    }


@settings(max_examples=100, deadline=None)
@given(given_fields=_valid(), height=st.integers(1, 100), width=st.integers(1, 100), frames=st.integers(2, 20))
def test_a_valid_scene_becomes_frames_of_cameras(
    given_fields: dict[str, Any], height: int, width: int, frames: int
) -> None:
    fitted = fit(Scene(**given_fields), height, width)
    assert fitted.images.shape == (2, height, width, 3)
    assert (fitted.images == given_fields["images"].flat[0]).all()
    assert np.isfinite(fitted.intrinsics).all()
    path = camera_path(fitted, frames)
    rotations = path.world_to_camera[:, :3, :3].astype(np.float64)
    assert np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max() < 1e-5
    assert (np.linalg.det(rotations) > 0.99).all()
    assert np.isfinite(path.world_to_camera).all()
    assert (path.intrinsics[:, [0, 1], [0, 1]] > 0).all()
    assert len(thin(fitted.xyz, fitted.rgb, 10)[0]) == min(10, len(fitted.xyz))


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(fields())), value=_junk)
def test_junk_in_any_field_is_refused_by_name_or_valid(name: str, value: Any) -> None:
    error = refusal(lambda: camera_path(fit(Scene(**fields(**{name: value})), 20, 20), 9))
    assert error is None or name in error.problem or name in ("xyz", "rgb", "world_to_camera")


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["xyz", "intrinsics", "world_to_camera", "trajectory"]),
    place=st.integers(0, 10_000),
    value=_any_float,
)
def test_one_changed_number_is_refused_or_harmless(name: str, place: int, value: float) -> None:
    given_fields = fields(trajectory=np.tile(np.eye(4, dtype=np.float32), (9, 1, 1)))
    array = given_fields[name].copy()
    array.flat[place % array.size] = value
    error = refusal(lambda: Scene(**{**given_fields, name: array}))
    if error is not None:
        assert name in error.problem or "behind" in error.problem
        return
    path = camera_path(fit(Scene(**{**given_fields, name: array}), 20, 20), 9)
    assert np.isfinite(path.world_to_camera).all()
    assert np.isfinite(path.intrinsics).all()
