"""The camera of every frame: a given trajectory, or the cosine-eased path between the two cameras."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.fit import FittedScene
from videoscene_rt.scenes.scene import Scene


class CameraPath(NamedTuple):
    """One camera a frame: world_to_camera float32[F,4,4], intrinsics float32[F,3,3] in pixels."""

    world_to_camera: NDArray[np.float32]
    intrinsics: NDArray[np.float32]


def camera_path(scene: Scene | FittedScene, frames: int) -> CameraPath:
    """The ``frames`` cameras that the scene is rendered from.

    Raises:
        InputError: the scene's trajectory has another number of poses, or frames is below 2.
    """
    if scene.trajectory is None:
        return between(scene.world_to_camera, scene.intrinsics, frames)
    if len(scene.trajectory) != frames:
        raise InputError(
            f"trajectory: {len(scene.trajectory)} poses, but the preset makes {frames} frames",
            f"give scene.json exactly {frames} poses under 'trajectory', or none for the path between the two cameras",
        )
    return CameraPath(scene.trajectory, np.repeat(scene.intrinsics[:1], frames, axis=0))


def between(world_to_camera: NDArray[np.float32], intrinsics: NDArray[np.float32], frames: int) -> CameraPath:
    """From the first camera to the second, cosine-eased: s_i = (1 − cos(π·i/(F−1)))/2.

    Camera centres and intrinsics are linear in s, rotations slerp. float64 inside; the first and the
    last camera are the given ones, bit for bit.

    Args:
        world_to_camera: float32[2,4,4].
        intrinsics: float32[2,3,3].
        frames: F ≥ 2.
    """
    if frames < 2:
        raise InputError(f"frames: {frames}; a path needs at least 2")
    s = (1 - np.cos(np.pi * np.arange(frames) / (frames - 1))) / 2
    ends = world_to_camera.astype(np.float64)
    centres = [np.linalg.solve(end[:3, :3], -end[:3, 3]) for end in ends]
    rotations = slerp(ends[0, :3, :3], ends[1, :3, :3], s)
    path = np.tile(np.eye(4), (frames, 1, 1))
    path[:, :3, :3] = rotations
    path[:, :3, 3] = -np.einsum("fij,fj->fi", rotations, _linear(centres[0], centres[1], s))
    cameras = _linear(intrinsics[0].astype(np.float64), intrinsics[1].astype(np.float64), s)
    poses32, cameras32 = path.astype(np.float32), cameras.astype(np.float32)
    poses32[[0, -1]], cameras32[[0, -1]] = world_to_camera, intrinsics
    return CameraPath(poses32, cameras32)


def slerp(start: NDArray[np.float64], end: NDArray[np.float64], s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations [len(s),3,3] along the shortest arc from ``start`` to ``end`` [3,3] (Shoemake, SIGGRAPH 1985).

    At 180° the two arcs are equally short; which one is taken is fixed by the matrices alone.
    """
    q0, q1 = _quaternion(start), _quaternion(end)
    if q0 @ q1 < 0:  # q and −q are the same rotation: take the nearer one
        q1 = -q1
    # atan2 of chord lengths keeps its precision at 0° and 180°, where arccos of the dot product loses half its digits.
    angle = 2 * np.arctan2(np.linalg.norm(q1 - q0), np.linalg.norm(q1 + q0))
    # sin(a·angle) / sin(angle), whose limit at angle 0 is a.
    first, second = (1 - s, s) if angle < 1e-9 else (np.sin(part * angle) / np.sin(angle) for part in (1 - s, s))
    q = first[:, None] * q0 + second[:, None] * q1
    return _matrix(q / np.linalg.norm(q, axis=1, keepdims=True))


def _linear(start: NDArray[np.float64], end: NDArray[np.float64], s: NDArray[np.float64]) -> NDArray[np.float64]:
    weight = s.reshape(-1, *[1] * start.ndim)
    return (1 - weight) * start + weight * end


def _quaternion(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unit quaternion (x, y, z, w) of the rotation nearest to the matrix (Bar-Itzhack, J. Guidance 23(6), 2000)."""
    r = rotation
    symmetric = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    _, vectors = np.linalg.eigh(symmetric / 3)
    q: NDArray[np.float64] = vectors[:, -1]
    return q if q[int(np.abs(q).argmax())] > 0 else -q


def _matrix(quaternions: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z, w = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
