"""Coloured point clouds in files: .ply and .npz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.npz import read_npz
from videoscene_rt.scenes.ply import read_ply, write_ply

Points = tuple[NDArray[np.float32], NDArray[np.uint8]]


def read_points(path: str | Path) -> Points:
    """Read xyz float32[N,3] (metres) and rgb uint8[N,3] in the order of the file, values as they are (NaN included).

    Raises:
        InputError: the file is missing, damaged, too large, of another kind, or lacks positions or colours.
    """
    path = Path(path)
    if path.suffix.lower() == ".ply":
        return read_ply(path)
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    raise InputError(f"{path}: a point file ends in .ply or .npz")


def write_points(path: str | Path, xyz: NDArray[Any], rgb: NDArray[Any]) -> None:
    """Write points as binary .ply or .npz, as the name ends; read_points gives back the same bits."""
    path = Path(path)
    xyz, rgb = np.asarray(xyz, dtype=np.float32), np.asarray(rgb, dtype=np.uint8)
    if path.suffix.lower() == ".ply":
        write_ply(path, xyz, rgb)
    elif path.suffix.lower() == ".npz":
        np.savez_compressed(path, xyz=xyz, rgb=rgb)
    else:
        raise InputError(f"{path}: a point file ends in .ply or .npz")
