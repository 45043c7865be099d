"""A scene as the chain's input buffers hold it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.scenes.fit import fit
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.scenes.trajectory import camera_path


def scene_inputs(scene: Scene, preset: Preset) -> dict[str, npt.NDArray[Any]]:
    """Buffers by name: images, xyz, rgb, num_points, world_to_camera, intrinsics; xyz and rgb are as long as the cloud.

    Raises:
        InputError: the cloud is larger than the preset's max_points, or the trajectory is not as long as its frames.
    """
    fitted = fit(scene, preset.height, preset.width)
    count, limit = len(fitted.xyz), preset.max_points
    if count > limit:
        raise InputError(
            f"the cloud has {count:,} points; this preset's max_points is {limit:,}",
            "thin it (videoscene_rt.scenes.thin does it evenly) or export a preset with a larger max_points",
        )
    path = camera_path(fitted, preset.frames)
    return {
        "images": fitted.images,
        "xyz": fitted.xyz,
        "rgb": fitted.rgb,
        "num_points": np.array([count], np.int32),
        "world_to_camera": path.world_to_camera,
        "intrinsics": path.intrinsics,
    }
