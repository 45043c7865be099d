"""Making a point cloud smaller."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError


def thin(
    xyz: NDArray[np.float32], rgb: NDArray[np.uint8], max_points: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """At most ``max_points`` points, evenly spaced in the order of the cloud: index floor(i·N / max_points).

    The same cloud gives the same points. A cloud that is small enough comes back as it is.

    Args:
        xyz: float32[N,3].
        rgb: uint8[N,3].
        max_points: at least 1.

    Raises:
        InputError: max_points is below 1, or the two arrays differ in length.
    """
    if max_points < 1:
        raise InputError(f"max_points: {max_points}; needs at least 1")
    if len(xyz) != len(rgb):
        raise InputError(f"rgb: {len(rgb)} colours for {len(xyz)} points")
    if len(xyz) <= max_points:
        return xyz, rgb
    kept = np.arange(max_points, dtype=np.int64) * len(xyz) // max_points
    return xyz[kept], rgb[kept]
