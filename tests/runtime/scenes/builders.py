"""Small scenes for tests, with any field replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes import Scene

HEIGHT, WIDTH = 24, 32


def pose(rotation: Rotation, centre: Any) -> NDArray[np.float64]:
    """World-to-camera of a camera at ``centre`` whose world-to-camera rotation is ``rotation``."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.as_matrix()
    matrix[:3, 3] = -rotation.as_matrix() @ np.asarray(centre)
    return matrix


def fields(**changes: Any) -> dict[str, Any]:
    """Arguments of a valid Scene of 24×32 px and 50 points, with changes."""
    generator = np.random.default_rng(3)
    camera = np.array([[30.0, 0, 15.5], [0, 30.0, 11.5], [0, 0, 1]])
    valid = {
        "images": generator.integers(0, 256, (2, HEIGHT, WIDTH, 3)).astype(np.uint8),
        "xyz": (generator.uniform(-1, 1, (50, 3)) + np.array([0, 0, 4])).astype(np.float32),
        "rgb": generator.integers(0, 256, (50, 3)).astype(np.uint8),
        "intrinsics": np.stack([camera, camera]).astype(np.float32),
        "world_to_camera": np.stack(
            [np.eye(4), pose(Rotation.from_euler("y", -10, degrees=True), [0.5, 0.1, 0])]
        ).astype(np.float32),
        "trajectory": None,
        "timestamp_ns": None,
    }
    return {**valid, **changes}


def scene(**changes: Any) -> Scene:
    """A Scene of those fields."""
    return Scene(**fields(**changes))


def same(one: Scene, other: Scene) -> bool:
    """Whether two scenes are equal bit for bit."""
    names = ("images", "xyz", "rgb", "intrinsics", "world_to_camera")
    arrays = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    if one.trajectory is None or other.trajectory is None:
        trajectories = one.trajectory is other.trajectory
    else:
        trajectories = np.array_equal(one.trajectory, other.trajectory)
    return arrays and trajectories and one.timestamp_ns == other.timestamp_ns


def refusal(call: Callable[[], Any]) -> InputError | None:
    """The InputError that ``call`` ends in; None where it succeeds. Any other exception passes through."""
    try:
        call()
    except InputError as error:
        return error
    return None
