"""What a scene's arrays must be. Each check names the field, the index and the value that break it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError

MIN_SIDE = 16
"""Smallest height or width of an image, pixels."""

MAX_SIDE = 16384
"""Largest height or width of an image, pixels."""

RIGID_TOLERANCE = 1e-3
"""Largest |R·Rᵀ − I| of a rotation: float32 matrices are near 1e-7, matrices written with four decimals near 2e-4."""

MAX_CENTRE = 1e5
"""Farthest a camera may stand from the origin, metres: float32 resolves a centimetre there."""

CONVENTION = "world_to_camera maps world metres to x right, y down, z forward (OpenCV)"


def checked_side(name: str, width: int, height: int) -> None:
    """Raise InputError unless an image of that size is between MIN_SIDE and MAX_SIDE on both sides."""
    for label, side in (("wide", width), ("high", height)):
        if not MIN_SIDE <= side <= MAX_SIDE:
            raise InputError(
                f"{name}: {side} px {label} ({width}×{height}); the limits are {MIN_SIDE} to {MAX_SIDE} px",
                "scale the image, and its intrinsics with it",
            )


def checked_images(images: Any) -> NDArray[np.uint8]:
    """Two RGB images of one size: uint8[2,H,W,3]."""
    try:
        count = len(images)
    except TypeError:
        raise InputError("images: not an array; needs two RGB images, uint8[2,H,W,3]") from None
    if count != 2:
        raise InputError(f"images: {count} given; a scene has exactly two", "give the first and the last view")
    array = as_array("images", images)
    if array.dtype != np.uint8:
        raise InputError(f"images: dtype {array.dtype}; needs uint8 RGB, 0 to 255")
    if array.ndim != 4 or array.shape[3] != 3:
        raise InputError(f"images: shape {list(array.shape)}; needs [2,H,W,3]")
    checked_side("images", array.shape[2], array.shape[1])
    return np.ascontiguousarray(array)


def checked_points(xyz: Any, rgb: Any) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A coloured point cloud: float32[N,3] metres and uint8[N,3], N ≥ 1."""
    if rgb is None:
        raise InputError("rgb: the points have no colours", "give one uint8 RGB row a point")
    points = as_array("xyz", xyz)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"xyz: shape {list(points.shape)}; needs [N,3]")
    if len(points) == 0:
        raise InputError("xyz: the point cloud is empty", "give at least one point")
    points = finite_float32("xyz", points)
    colours = as_array("rgb", rgb)
    if colours.dtype != np.uint8:
        raise InputError(f"rgb: dtype {colours.dtype}; needs uint8, 0 to 255")
    if colours.ndim != 2 or colours.shape[1] != 3:
        raise InputError(f"rgb: shape {list(colours.shape)}; needs [N,3]")
    if len(colours) != len(points):
        raise InputError(f"rgb: {len(colours)} colours for {len(points)} points", "give one RGB row a point")
    return points, np.ascontiguousarray(colours)


def checked_intrinsics(intrinsics: Any, height: int, width: int) -> NDArray[np.float32]:
    """Two pinhole matrices for images of that size: float32[2,3,3], pixels, [[fx,0,cx],[0,fy,cy],[0,0,1]]."""
    matrices = _matrices("intrinsics", intrinsics, 2, 3)
    for i, matrix in enumerate(matrices):
        name = f"intrinsics[{i}]"
        if matrix[2].tolist() != [0.0, 0.0, 1.0]:
            raise InputError(f"{name}: last row {_row(matrix[2])}; needs 0 0 1")
        if matrix[0, 1] != 0 or matrix[1, 0] != 0:
            skew = matrix[0, 1] if matrix[0, 1] != 0 else matrix[1, 0]
            raise InputError(f"{name}: skew {skew:g}; needs 0", "rectify the image first")
        for axis, (label, side) in enumerate((("x", width), ("y", height))):
            focal, centre = float(matrix[axis, axis]), float(matrix[axis, 2])
            longest = max(width, height)
            if not longest / 20 <= focal <= longest * 100:
                raise InputError(
                    f"{name}: f{label} = {focal:g} does not fit an image of {width}×{height} px",
                    f"focal lengths are in pixels, {longest / 20:g} to {longest * 100} here, not normalised",
                )
            if not -side <= centre <= 2 * side:
                raise InputError(
                    f"{name}: c{label} = {centre:g} does not fit an image of {width}×{height} px",
                    f"the principal point is in pixels, {-side} to {2 * side} here; are they of another size?",
                )
    return matrices


def checked_poses(field: str, poses: Any, count: int | None) -> NDArray[np.float32]:
    """Rigid world-to-camera motions: float32[count,4,4], or [F,4,4] with F ≥ 1 where count is None."""
    matrices = _matrices(field, poses, count, 4)
    for i, matrix in enumerate(matrices):
        _check_rigid(f"{field}[{i}]", matrix.astype(np.float64))
    return matrices


def check_in_front(xyz: NDArray[np.float32], poses: NDArray[np.float32], cameras: str) -> None:
    """Raise InputError where no point has z > 0 in any of the poses (``cameras`` names them in the message)."""
    with np.errstate(all="ignore"):  # points near the end of float32's range may overflow; infinity compares rightly
        if any(bool((xyz @ pose[2, :3] + pose[2, 3] > 0).any()) for pose in poses):
            return
    raise InputError(
        f"xyz: all {len(xyz)} points lie behind {cameras}",
        f"{CONVENTION}; a camera-to-world matrix or z backward (OpenGL) looks like this",
    )


def as_array(field: str, value: Any) -> NDArray[Any]:
    """``value`` as a NumPy array of numbers, without a copy where it is one."""
    try:
        array: NDArray[Any] = np.asarray(value)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise InputError(f"{field}: not an array: {error}") from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"{field}: dtype {array.dtype}; needs numbers")
    return array


def finite_float32(field: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """``array`` as dense float32; InputError names the first element that is NaN, infinite or beyond float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(result)
    if not finite.all():
        bad = ~finite
        first = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
        index = ",".join(map(str, first))
        raise InputError(
            f"{field}[{index}] is {array[first]}; needs a finite float32 ({int(bad.sum())} such values in all)",
            "remove the points without a position" if field == "xyz" else None,
        )
    return result


def _matrices(field: str, value: Any, count: int | None, side: int) -> NDArray[np.float32]:
    array = as_array(field, value)
    wanted = f"[{'F' if count is None else count},{side},{side}]"
    right_count = array.ndim == 3 and (array.shape[0] == count if count is not None else array.shape[0] > 0)
    if not right_count or array.shape[1:] != (side, side):
        raise InputError(f"{field}: shape {list(array.shape)}; needs {wanted}")
    return finite_float32(field, array)


def _check_rigid(name: str, matrix: NDArray[np.float64]) -> None:
    if matrix[3].tolist() != [0.0, 0.0, 0.0, 1.0]:
        raise InputError(
            f"{name}: last row {_row(matrix[3])}; a rigid motion has 0 0 0 1", "the translation is the last column"
        )
    rotation = matrix[:3, :3]
    error = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if error > RIGID_TOLERANCE:
        raise InputError(
            f"{name}: not a rigid motion: R·Rᵀ differs from the identity by {error:.3g} (limit {RIGID_TOLERANCE:g})",
            "remove scale and shear from the matrix, or write it with more digits",
        )
    if np.linalg.det(rotation) < 0:
        raise InputError(f"{name}: not a rigid motion: it mirrors (determinant −1)", CONVENTION)
    distance = float(np.linalg.norm(matrix[:3, 3]))
    if distance > MAX_CENTRE:
        raise InputError(
            f"{name}: the camera stands {distance:.6g} m from the origin; the limit is {MAX_CENTRE:g} m (float32)",
            "subtract a local origin from the points and the cameras",
        )


def _row(values: NDArray[Any]) -> str:
    return " ".join(f"{float(value):g}" for value in values)
