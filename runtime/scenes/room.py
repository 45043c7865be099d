"""A room made by arithmetic: two photographs, a point cloud and two cameras, without a download."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.checks import checked_side
from videoscene_rt.scenes.clouds import thin
from videoscene_rt.scenes.raycast import Room, trace
from videoscene_rt.scenes.room_layout import Viewpoint, random_layout
from videoscene_rt.scenes.scene import Scene

_OFFSETS = ((-0.25, -0.25), (0.25, 0.25), (0.25, -0.25), (-0.25, 0.25))
"""Where a pixel is sampled, around its centre; a photograph is the mean of the four."""


def procedural_room(height: int = 240, width: int = 320, seed: int = 0, points: int | None = None) -> Scene:
    """A room with furniture, lit by one lamp, seen by two cameras; the same arguments give the same bits.

    The photographs are ray-cast with four samples a pixel. The cloud holds only what the two cameras see, exact in
    position and colour, so that a view from between them has true holes where neither could look.

    Args:
        height, width: size of the photographs, pixels.
        seed: varies the room, its furniture, colours, textures and lamp, the lens, and where the cameras stand
            and look.
        points: how many points the cloud has, at most 2·height·width; by default one for every pixel of both.

    Raises:
        InputError: a size is out of range.
    """
    checked_side("procedural_room", width, height)
    most = 2 * height * width
    if points is not None and not 1 <= points <= most:
        raise InputError(f"points: {points}; needs 1 to {most} for two images of {width}×{height}")
    room, views = random_layout(np.random.Generator(np.random.PCG64(seed)))
    images, xyz, rgb = zip(*(_photograph(room, view, height, width) for view in views), strict=True)
    cloud = thin(np.concatenate(xyz), np.concatenate(rgb), most if points is None else points)
    return Scene(
        images=np.stack(images),
        xyz=cloud[0],
        rgb=cloud[1],
        intrinsics=np.stack([view.intrinsics(height, width) for view in views]),
        world_to_camera=np.stack([view.world_to_camera() for view in views]),
    )


def _photograph(
    room: Room, view: Viewpoint, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """The image uint8[H,W,3]; the first sample of every pixel as float32[H·W,3] points and uint8[H·W,3] colours."""
    pose, camera = view.world_to_camera(), view.intrinsics(height, width)
    centre = -pose[:3, :3].T @ pose[:3, 3]
    v, u = np.divmod(np.arange(height * width), width)
    total = np.zeros((3, height * width), dtype=np.float32)
    for number, (du, dv) in enumerate(_OFFSETS):
        rays = np.stack(
            [
                (u + du - camera[0, 2]) / camera[0, 0],
                (v + dv - camera[1, 2]) / camera[1, 1],
                np.ones(height * width),
            ]
        )
        positions, colours = trace(room, centre, pose[:3, :3].T @ rays)
        total += colours
        if number == 0:
            xyz, rgb = positions.T.astype(np.float32), _to_bytes(colours)
    image = _to_bytes(total / len(_OFFSETS)).reshape(height, width, 3)
    return image, xyz, rgb


def _to_bytes(colours: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Linear light float[3,N] as sRGB-like bytes uint8[N,3] (gamma 2.2)."""
    result: NDArray[np.uint8] = np.rint(np.clip(colours.T, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    return result
