"""The motorcycle: a rectified stereo pair with ground-truth disparity.

Middlebury 2014 stereo benchmark (Scharstein et al., "High-resolution stereo datasets with subpixel-accurate ground
truth", GCPR 2014), in the 741×500 form that ``skimage.data.stereo_motorcycle()`` gives.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.files import reason
from videoscene_rt.scenes.images import read_image
from videoscene_rt.scenes.room import procedural_room
from videoscene_rt.scenes.scene import Scene

FOCAL = 994.978
"""Focal length of both cameras, pixels."""

CENTRE = (311.193, 254.877)
"""Principal point of the left camera, pixels."""

DOFFS = 31.086
"""How much farther right the right camera's principal point lies, pixels."""

BASELINE = 0.193001
"""How far right of the left camera the right one stands, metres."""

_ROOM_POINTS = 24_000
"""Of the room that stands in: few enough that a view between the cameras shows holes, as a vehicle's own map does."""

_SIZE = (500, 741)
_FILES = ("motorcycle_left.png", "motorcycle_right.png", "motorcycle_disp.npz")


class MotorcycleNotFound(InputError):  # noqa: N818 - named for what happened, like FileNotFound
    """Neither $VSRT_DATA nor scikit-image has the motorcycle here."""


def motorcycle() -> Scene:
    """The motorcycle pair as a scene; the world is the left camera's frame, one point a pixel with known disparity.

    From the folder that $VSRT_DATA names (``motorcycle/motorcycle_left.png``, ``…_right.png``, ``…_disp.npz``), else
    from ``skimage.data.stereo_motorcycle()``, which may download it.

    Raises:
        MotorcycleNotFound: neither has it.
        InputError: a file is there but damaged.
    """
    left, right, disparity = _from_folder() or _from_skimage()
    return stereo_scene(left, right, disparity)


def demo_scene() -> tuple[Scene, str]:
    """The motorcycle where it can be had, else the procedural room, with one line that says which and why."""
    try:
        return motorcycle(), "the Middlebury motorcycle pair"
    except MotorcycleNotFound as error:
        return procedural_room(points=_ROOM_POINTS), f"the built-in procedural room, since {error.problem}"


def stereo_scene(left: NDArray[np.uint8], right: NDArray[np.uint8], disparity: NDArray[np.floating]) -> Scene:
    """Two rectified photographs uint8[500,741,3] and the left one's disparity float[500,741] (pixels) as a scene.

    depth = f · baseline / (disparity + doffs); a point lies on the ray through the centre of its pixel.
    """
    expected = (("left", left, (*_SIZE, 3)), ("right", right, (*_SIZE, 3)), ("disparity", disparity, _SIZE))
    for name, array, shape in expected:
        if array.shape != shape:
            raise InputError(f"motorcycle: {name} has shape {list(array.shape)}; needs {list(shape)}")
    d = disparity.astype(np.float64)
    known = np.isfinite(d) & (d + DOFFS > 0)
    v, u = np.nonzero(known)
    z = FOCAL * BASELINE / (d[known] + DOFFS)
    xyz = np.stack([(u - CENTRE[0]) / FOCAL * z, (v - CENTRE[1]) / FOCAL * z, z], axis=1)
    intrinsics = np.array([[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]], [0, 0, 1]])
    cameras = np.stack([intrinsics, intrinsics])
    cameras[1, 0, 2] += DOFFS
    poses = np.stack([np.eye(4), np.eye(4)])
    poses[1, 0, 3] = -BASELINE
    return Scene(
        images=np.stack([left, right]),
        xyz=xyz.astype(np.float32),
        rgb=left[known],
        intrinsics=cameras.astype(np.float32),
        world_to_camera=poses.astype(np.float32),
    )


def _from_folder() -> tuple[Any, Any, Any] | None:
    data = os.environ.get("VSRT_DATA")
    if not data:
        return None
    left, right, disparity = (Path(data) / "motorcycle" / name for name in _FILES)
    if not (left.is_file() and right.is_file() and disparity.is_file()):
        return None
    try:
        with np.load(disparity, allow_pickle=False) as arrays:
            values = arrays["arr_0"]
    except Exception as error:  # NumPy and zipfile raise many types on damaged files
        raise InputError(f"{disparity}: cannot be read: {reason(error)}") from error
    return read_image(left), read_image(right), values


def _from_skimage() -> tuple[Any, Any, Any]:
    data = os.environ.get("VSRT_DATA")
    here = f"the folder $VSRT_DATA ({data}) has no motorcycle pair" if data else "$VSRT_DATA names no folder"
    remedy = "set VSRT_DATA to a folder with motorcycle/, or install scikit-image and pooch"
    if importlib.util.find_spec("skimage") is None:
        raise MotorcycleNotFound(f"{here} and scikit-image is not installed", remedy)
    try:
        from skimage.data import stereo_motorcycle

        left, right, disparity = stereo_motorcycle()
    except Exception as error:  # no network, no pooch, no cache folder: whatever it is, the pair cannot be had
        raise MotorcycleNotFound(f"{here} and scikit-image cannot get it ({reason(error)[:120]})", remedy) from error
    return left, right, disparity
