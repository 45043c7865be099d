"""Real input data for tests: where it is, and a clear skip where it is not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def data_dir() -> Path | None:
    """The folder that $VSRT_DATA names, else ../shared/data beside the checkout, else None."""
    named = os.environ.get("VSRT_DATA")
    folder = Path(named) if named else _BESIDE
    return folder if folder.is_dir() else None


def require_data(*relative: str) -> Path:
    """The data folder, if it has all those files; skips the test otherwise."""
    folder = data_dir()
    if folder is None:
        pytest.skip("no input data: set VSRT_DATA, or put it in ../shared/data beside the checkout")
    missing = [name for name in relative if not (folder / name).is_file()]
    if missing:
        pytest.skip(f"no input data: {folder} lacks {', '.join(missing)}")
    return folder


def require_motorcycle() -> Path:
    """The data folder, with the Middlebury motorcycle pair in it."""
    names = ("motorcycle_left.png", "motorcycle_right.png", "motorcycle_disp.npz")
    return require_data(*(f"motorcycle/{name}" for name in names))


@dataclass(frozen=True, eq=False)
class Cloud:
    """A cloud and cameras without photographs: xyz f32[N,3], rgb u8[N,3], poses f32[C,4,4], intrinsics f32[C,3,3]."""

    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    world_to_camera: NDArray[np.float32]
    intrinsics: NDArray[np.float32]
    height: int
    width: int


def garden_cloud() -> Cloud:
    """The Mip-NeRF 360 garden: 138,766 points and three cameras of 648×420; skips the test where it is absent."""
    with np.load(require_data("garden/test_garden.npz") / "garden" / "test_garden.npz", allow_pickle=False) as arrays:
        return Cloud(
            xyz=arrays["means3d"],
            rgb=arrays["colors"],
            world_to_camera=arrays["viewmats"],
            intrinsics=arrays["Ks"],
            height=int(arrays["height"]),
            width=int(arrays["width"]),
        )
