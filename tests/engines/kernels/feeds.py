"""What the renderer is fed in tests: random clouds full of hard cases, and two real ones; and what the z-buffers make of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tests.support.data import garden_cloud, require_motorcycle
from tests.support.zbuffer import Canvas, Cloud, draw_point_by_point, draw_sorted
from videoscene_rt.engines.specs import Signature, TensorSpec

INPUTS = ("xyz", "rgb", "num_points", "world_to_camera", "intrinsics")
OUTPUTS = ("frames", "depth", "hole_mask")
NEAR = 0.25
BACKGROUND = (7, 90, 201)
Feed = dict[str, np.ndarray]
SPECIAL = np.array([0.0, -0.0, NEAR, 0.5, -1.0, 1e-30, 1e30, -1e30, 3e38, 32768.0, np.inf, -np.inf, np.nan], np.float32)


@dataclass(frozen=True)
class Sizes:
    """F frames of H×W pixels, max_points P."""

    frames: int
    height: int
    width: int
    points: int

    def canvas(self, radius: int) -> Canvas:
        """What is drawn on, with a near plane and a background that are not the defaults."""
        return Canvas(self.height, self.width, radius, NEAR, BACKGROUND)


def feed_of(sizes: Sizes, xyz: np.ndarray, rgb: np.ndarray, poses: np.ndarray, intrinsics: np.ndarray) -> Feed:
    """A feed with these points in front, in a buffer whose tail would be seen if it were drawn."""
    assert len(xyz) <= sizes.points
    whole_xyz = np.full((sizes.points, 3), np.nan, np.float32)
    whole_xyz[1::2] = (0, 0, 0.5)
    whole_rgb = np.full((sizes.points, 3), 255, np.uint8)
    whole_xyz[: len(xyz)], whole_rgb[: len(xyz)] = xyz, rgb
    return {
        "xyz": whole_xyz,
        "rgb": whole_rgb,
        "num_points": np.array([len(xyz)], np.int32),
        "world_to_camera": np.ascontiguousarray(poses, np.float32),
        "intrinsics": np.ascontiguousarray(intrinsics, np.float32),
    }


def renderer_signature(sizes: Sizes) -> Signature:
    """What the renderer takes and gives at these sizes."""
    F, H, W, P = sizes.frames, sizes.height, sizes.width, sizes.points
    shapes = {
        "xyz": ("float32", (P, 3)),
        "rgb": ("uint8", (P, 3)),
        "num_points": ("int32", (1,)),
        "world_to_camera": ("float32", (F, 4, 4)),
        "intrinsics": ("float32", (F, 3, 3)),
        "frames": ("uint8", (F, H, W, 3)),
        "depth": ("float32", (F, H, W)),
        "hole_mask": ("uint8", (F, H, W)),
    }
    tensors = {n: TensorSpec(name=n, dtype=d, shape=s, meaning=n) for n, (d, s) in shapes.items()}
    inputs, outputs = (tuple(tensors[name] for name in names) for names in (INPUTS, OUTPUTS))
    return Signature(name="renderer", inputs=inputs, outputs=outputs)


def random_feed(sizes: Sizes, seed: int, count: int | None = None) -> Feed:
    """Points around turning cameras: behind, beside, far; copies and near copies of one another; NaN, infinities, huge values."""
    rng = np.random.default_rng(seed)
    count = int(sizes.points * 0.9) if count is None else count
    xyz = rng.uniform((-3, -2, -1), (3, 2, 6), (count, 3)).astype(np.float32)
    kind = rng.integers(0, 8, count)
    copies = np.flatnonzero(kind == 0)
    if copies.size:
        xyz[copies] = xyz[rng.integers(0, count, copies.size)]
        deeper = copies[::2]
        xyz[deeper, 2] += np.float32(2**-18)  # less than a step of depth: a tie, if the camera looks along z
    odd = np.flatnonzero(kind == 1)
    xyz[odd, rng.integers(0, 3, odd.size)] = rng.choice(SPECIAL, odd.size)
    grid = np.flatnonzero(kind == 2)  # exactly on pixels and on their boundaries, where the camera stands straight
    xyz[grid] = np.round(xyz[grid] * 8) / 8
    poses = np.tile(np.eye(4, dtype=np.float32), (sizes.frames, 1, 1))
    angle = rng.uniform(-0.6, 0.6, sizes.frames) * (rng.random(sizes.frames) < 0.7)  # some stand straight
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angle)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(angle), -np.sin(angle)
    poses[:, :3, 3] = np.where(angle[:, None] == 0, 0, rng.uniform(-0.3, 0.3, (sizes.frames, 3)))
    poses[:, 3] = np.nan  # the last row is not read
    intrinsics = np.full((sizes.frames, 3, 3), np.nan, np.float32)  # and of these, four elements are
    focal = 0.75 * sizes.width
    intrinsics[:, 0, 0] = np.where(angle == 0, 8, focal * rng.uniform(0.8, 1.2, sizes.frames))
    intrinsics[:, 1, 1] = np.where(angle == 0, 8, focal * rng.uniform(0.8, 1.2, sizes.frames))
    intrinsics[:, 0, 2], intrinsics[:, 1, 2] = sizes.width / 2, sizes.height / 2
    return feed_of(sizes, xyz, rng.integers(0, 256, (count, 3), np.uint8), poses, intrinsics)


def boundary_feed(sizes: Sizes, seed: int) -> Feed:
    """Points within an ulp of a pixel's boundary, so far that q holds every bit of Z: another order of operations shows."""
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4, dtype=np.float32), (sizes.frames, 1, 1))
    c, s = np.cos(0.7), np.sin(0.7)
    turned = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    poses[::2, :3, :3] = turned
    poses[:, :3, 3] = (0.3, -0.7, 1.9)
    intrinsics = np.zeros((sizes.frames, 3, 3), np.float32)
    intrinsics[:, [0, 1], [0, 1]] = (7.3, 9.1)
    intrinsics[:, :2, 2] = (8.3, 5.7)
    columns, rows = rng.integers(0, sizes.width, sizes.points), rng.integers(0, sizes.height, sizes.points)
    Z = rng.uniform(300, 3000, sizes.points)
    camera = np.stack([(columns - 0.5 - 8.3) / 7.3 * Z, (rows - 0.5 - 5.7) / 9.1 * Z, Z], axis=1)
    xyz = (camera - poses[0, :3, 3]) @ turned
    return feed_of(sizes, xyz, rng.integers(0, 256, (sizes.points, 3), np.uint8), poses, intrinsics)


def expected(feed: Feed, canvas: Canvas, by_points: bool = False) -> list[np.ndarray]:
    """frames, depth and hole_mask, drawn by NumPy: sorted, or point by point (for small scenes)."""
    count = min(max(int(feed["num_points"][0]), 0), len(feed["xyz"]))
    cloud = Cloud(feed["xyz"], feed["rgb"], count)
    draw = draw_point_by_point if by_points else draw_sorted
    cameras = zip(feed["world_to_camera"], feed["intrinsics"], strict=True)
    drawn = [draw(cloud, pose, intrinsics, canvas) for pose, intrinsics in cameras]
    return [np.stack(part) for part in zip(*drawn, strict=True)]


def assert_same(found: list[np.ndarray], wanted: list[np.ndarray], who: str = "") -> None:
    """Equal in dtype, shape and every bit."""
    for name, out, want in zip(OUTPUTS, found, wanted, strict=True):
        assert (out.dtype, out.shape) == (want.dtype, want.shape), f"{name} {who}"
        assert out.tobytes() == want.tobytes(), (
            f"{name} {who} differs, first at {np.argwhere(out != want)[:3].tolist()}"
        )


def real_feed(which: str, frames: int, height: int, width: int, max_points: int | None = None) -> Feed:
    """The "motorcycle" or the "garden" along a path between its first two cameras; skips where it is absent.

    max_points None: exactly as many as the cloud has.
    """
    from videoscene_rt.scenes.trajectory import between

    if which == "garden":
        cloud = garden_cloud()
        xyz, rgb, poses, cameras = cloud.xyz, cloud.rgb, cloud.world_to_camera[:2], cloud.intrinsics[:2]
        scale = max(height / cloud.height, width / cloud.width)
    else:
        pytest.importorskip("PIL", reason="the motorcycle's photographs are read with Pillow")
        from videoscene_rt.scenes.middlebury import motorcycle

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VSRT_DATA", str(require_motorcycle()))
            scene = motorcycle()
        xyz, rgb, poses, cameras = scene.xyz, scene.rgb, scene.world_to_camera, scene.intrinsics
        scale = max(height / scene.images.shape[1], width / scene.images.shape[2])
    cameras = cameras.astype(np.float32)
    cameras[:, :2] *= np.float32(scale)
    path = between(poses.astype(np.float32), cameras, frames)
    sizes = Sizes(frames, height, width, len(xyz) if max_points is None else max_points)
    return feed_of(sizes, xyz, rgb, path.world_to_camera, path.intrinsics)
