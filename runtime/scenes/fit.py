"""Bringing images and their intrinsics to another size: scale to cover, then a centre crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.scene import Scene


@dataclass(frozen=True, eq=False)
class FittedScene:
    """A scene whose images have a preset's size; the fields mean what they mean in Scene."""

    images: NDArray[np.uint8]
    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    intrinsics: NDArray[np.float32]
    world_to_camera: NDArray[np.float32]
    trajectory: NDArray[np.float32] | None = None
    timestamp_ns: int | None = None


def fit(scene: Scene, height: int, width: int) -> FittedScene:
    """``scene`` with images of ``height`` × ``width`` px and intrinsics that match; the rest is shared, not copied.

    One scale for both axes, k = max(width / W, height / H), and crop = (W·k − width) / 2 (y alike); neither is rounded:
    the resampler takes the crop as a fractional box, so that a pixel is exactly where the intrinsics say:

        f' = f·k,   c' = (c + 0.5)·k − 0.5 − crop

    computed in float64 and rounded to float32 once.

    Raises:
        InputError: height or width is below 1.
    """
    pairs = [cover(image, camera, height, width) for image, camera in zip(scene.images, scene.intrinsics, strict=True)]
    return FittedScene(
        images=np.stack([image for image, _ in pairs]),
        xyz=scene.xyz,
        rgb=scene.rgb,
        intrinsics=np.stack([camera for _, camera in pairs]).astype(np.float32),
        world_to_camera=scene.world_to_camera,
        trajectory=scene.trajectory,
        timestamp_ns=scene.timestamp_ns,
    )


def cover(
    image: NDArray[np.uint8], intrinsics: NDArray[np.floating], height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """One image uint8[H,W,3] and its matrix [3,3], scaled to cover ``height`` × ``width`` and cropped at the centre."""
    if height < 1 or width < 1:
        raise InputError(f"size: {width}×{height} px; needs at least 1×1")
    scale, crop_x, crop_y = _cover_and_crop(image.shape[0], image.shape[1], height, width)
    adjusted = np.asarray(intrinsics, dtype=np.float64).copy()
    adjusted[0, 0] *= scale
    adjusted[1, 1] *= scale
    adjusted[0, 2] = (adjusted[0, 2] + 0.5) * scale - 0.5 - crop_x
    adjusted[1, 2] = (adjusted[1, 2] + 0.5) * scale - 0.5 - crop_y
    if image.shape[:2] == (height, width):
        return image, adjusted
    box = (crop_x / scale, crop_y / scale, (crop_x + width) / scale, (crop_y + height) / scale)
    return _resample(image, height, width, box), adjusted


def _cover_and_crop(height: int, width: int, to_height: int, to_width: int) -> tuple[float, float, float]:
    scale = max(to_width / width, to_height / height)
    return scale, (width * scale - to_width) / 2, (height * scale - to_height) / 2


def _resample(
    image: NDArray[np.uint8], height: int, width: int, box: tuple[float, float, float, float]
) -> NDArray[np.uint8]:
    from PIL import Image

    left, top, right, bottom = box
    inside = (max(left, 0.0), max(top, 0.0), min(right, float(image.shape[1])), min(bottom, float(image.shape[0])))
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC, box=inside)
    return np.asarray(resized, dtype=np.uint8)
