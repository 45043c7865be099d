"""Two z-buffers in NumPy to compare the renderer with: one drawn point by point, one sorted.

Both follow "The renderer's arithmetic" in docs/architecture.md in float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
F32 = np.float32


@dataclass(frozen=True)
class Cloud:
    """xyz float32 [P,3] and rgb uint8 [P,3], of which the first ``num_points`` count."""

    xyz: Array
    rgb: Array
    num_points: int


@dataclass(frozen=True)
class Canvas:
    """What is drawn on: H×W pixels, and the settings of the renderer."""

    height: int
    width: int
    radius: int
    near: float = 0.01
    background: tuple[int, int, int] = (0, 0, 0)


def draw_point_by_point(
    cloud: Cloud, world_to_camera: Array, intrinsics: Array, canvas: Canvas
) -> tuple[Array, Array, Array]:
    """One frame, pixel by pixel: a pixel keeps the point with the least (q, index).

    Returns: colours uint8 [H,W,3], depth float32 [H,W], hole_mask uint8 [H,W].
    """
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for index in range(cloud.num_points):
        landed = _land(cloud.xyz[index], world_to_camera, intrinsics, F32(canvas.near))
        if landed is None:
            continue
        column, row, q = landed
        for y in range(max(row - canvas.radius, 0), min(row + canvas.radius, canvas.height - 1) + 1):
            for x in range(max(column - canvas.radius, 0), min(column + canvas.radius, canvas.width - 1) + 1):
                best[y, x] = min(best.get((y, x), (q, index)), (q, index))
    colours = np.full((canvas.height, canvas.width, 3), canvas.background, np.uint8)
    depth = np.zeros((canvas.height, canvas.width), F32)
    hole_mask = np.ones((canvas.height, canvas.width), np.uint8)
    for pixel, (q, index) in best.items():
        colours[pixel], depth[pixel], hole_mask[pixel] = cloud.rgb[index], q / 65536, 0
    return colours, depth, hole_mask


def _land(point: Array, world_to_camera: Array, intrinsics: Array, near: np.float32) -> tuple[int, int, int] | None:
    """(column, row, q) of a point, or None where it is dropped or lands nowhere near any image."""
    x, y, z = (F32(value) for value in point)
    with np.errstate(all="ignore"):
        X, Y, Z = (F32(F32(F32(F32(a * x) + F32(b * y)) + F32(c * z)) + t) for a, b, c, t in world_to_camera[:3])
        if not near < Z < F32(32768):
            return None
        u = F32(F32(intrinsics[0, 0] * F32(X / Z)) + intrinsics[0, 2])
        v = F32(F32(intrinsics[1, 1] * F32(Y / Z)) + intrinsics[1, 2])
        px, py = float(F32(u + F32(0.5))), float(F32(v + F32(0.5)))
    if not (math.isfinite(px) and math.isfinite(py)):
        return None
    return math.floor(px), math.floor(py), math.floor(float(Z) * 65536)


def draw_sorted(cloud: Cloud, world_to_camera: Array, intrinsics: Array, canvas: Canvas) -> tuple[Array, Array, Array]:
    """One frame of a large cloud: every covered pixel of every point is listed; the first by (pixel, q, index) wins.

    Returns the same as draw_point_by_point.
    """
    height, width, radius = canvas.height, canvas.width, canvas.radius
    x, y, z = cloud.xyz[: cloud.num_points].astype(F32).T
    with np.errstate(all="ignore"):
        X, Y, Z = (((a * x + b * y) + c * z) + t for a, b, c, t in world_to_camera[:3].astype(F32))
        px = np.floor((F32(intrinsics[0, 0]) * (X / Z) + F32(intrinsics[0, 2])) + F32(0.5))
        py = np.floor((F32(intrinsics[1, 1]) * (Y / Z) + F32(intrinsics[1, 2])) + F32(0.5))
        in_range = (F32(canvas.near) < Z) & (F32(32768) > Z)
        (kept,) = np.nonzero(in_range & (np.abs(px) < 2**20) & (np.abs(py) < 2**20))
    q = np.floor(Z[kept].astype(np.float64) * 65536).astype(np.int64)
    dy, dx = (offset.ravel() for offset in np.mgrid[-radius : radius + 1, -radius : radius + 1])
    rows = py[kept].astype(np.int64)[:, None] + dy
    columns = px[kept].astype(np.int64)[:, None] + dx
    on_screen = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    pixel = (rows * width + columns)[on_screen]
    q_of = np.broadcast_to(q[:, None], rows.shape)[on_screen]
    index_of = np.broadcast_to(kept[:, None], rows.shape)[on_screen]
    order = np.lexsort((index_of, q_of, pixel))
    hit, first = np.unique(pixel[order], return_index=True)
    winner = order[first]
    colours = np.full((height * width, 3), canvas.background, np.uint8)
    depth = np.zeros(height * width, F32)
    hole_mask = np.ones(height * width, np.uint8)
    colours[hit] = cloud.rgb[index_of[winner]]
    depth[hit] = (q_of[winner] / 65536).astype(F32)
    hole_mask[hit] = 0
    return colours.reshape(height, width, 3), depth.reshape(height, width), hole_mask.reshape(height, width)
