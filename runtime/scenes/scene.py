"""A scene: what one run sees."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes import checks
from videoscene_rt.scenes.clouds import thin


@dataclass(frozen=True, eq=False)
class Scene:
    """Two images, a coloured point cloud and two cameras; checked when it is made.

    Conventions (OpenCV): x right, y down, z forward; metres; pixel centres at integers. Arrays of the right dtype and
    layout are kept, not copied; float64 input is rounded to float32.

    Args:
        images: uint8[2,H,W,3], RGB, both of one size.
        xyz: float32[N,3], the points in world metres.
        rgb: uint8[N,3], their colours.
        intrinsics: float32[2,3,3], pixels.
        world_to_camera: float32[2,4,4], rigid motions.
        trajectory: float32[F,4,4], world-to-camera of each frame, seen with the first camera's intrinsics; None for
            the path between the two cameras.
        timestamp_ns: when the scene was seen, nanoseconds on the caller's clock.

    Raises:
        InputError: a field is wrong; the message names it, and the index and value where that helps.
    """

    images: NDArray[np.uint8]
    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    intrinsics: NDArray[np.float32]
    world_to_camera: NDArray[np.float32]
    trajectory: NDArray[np.float32] | None = None
    timestamp_ns: int | None = None

    def __post_init__(self) -> None:
        images = checks.checked_images(self.images)
        xyz, rgb = checks.checked_points(self.xyz, self.rgb)
        cameras = checks.checked_poses("world_to_camera", self.world_to_camera, 2)
        checked: dict[str, Any] = {
            "images": images,
            "xyz": xyz,
            "rgb": rgb,
            "intrinsics": checks.checked_intrinsics(self.intrinsics, images.shape[1], images.shape[2]),
            "world_to_camera": cameras,
            "timestamp_ns": _checked_timestamp(self.timestamp_ns),
        }
        checks.check_in_front(xyz, cameras, "both cameras")
        if self.trajectory is not None:
            trajectory = checks.checked_poses("trajectory", self.trajectory, None)
            checks.check_in_front(xyz, trajectory, f"all {len(trajectory)} poses of the trajectory")
            checked["trajectory"] = trajectory
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def load(cls, folder: str | Path) -> Scene:
        """Read a scene folder (docs/scene-format.md). InputError names the folder and what is wrong in it."""
        from videoscene_rt.scenes.scene_folder import load_scene  # pydantic and Pillow only where a folder is read

        return load_scene(folder)

    @property
    def height(self) -> int:
        """Height of the images, pixels."""
        return int(self.images.shape[1])

    @property
    def width(self) -> int:
        """Width of the images, pixels."""
        return int(self.images.shape[2])

    @property
    def num_points(self) -> int:
        """N: how many points the cloud has."""
        return len(self.xyz)

    def thinned(self, max_points: int) -> Scene:
        """The same scene with at most ``max_points`` points, evenly spaced in the order of the cloud (`videoscene_rt.scenes.thin`).

        A scene that was good stays one: should none of the few points in front of the cameras be among those that are left,
        every frame is all holes, and nothing is refused.

        Raises:
            InputError: max_points is below 1.
        """
        xyz, rgb = thin(self.xyz, self.rgb, max_points)
        if xyz is self.xyz:
            return self
        fewer = copy.copy(self)  # not dataclasses.replace: everything is checked already, and thinning cannot break it
        object.__setattr__(fewer, "xyz", xyz)
        object.__setattr__(fewer, "rgb", rgb)
        return fewer


def _checked_timestamp(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= int(value) < 2**63:
        raise InputError(f"timestamp_ns: {value!r}; needs whole nanoseconds from 0 to 2^63 − 1")
    return int(value)
