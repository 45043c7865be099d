"""splat.cu compiled as C++ and called from Python: the kernels' own arithmetic, keys, groups and windows on the CPU."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.engines.kernels.feeds import INPUTS, Feed
from tests.support.zbuffer import Canvas

HERE = Path(__file__).parent
KERNELS = HERE.parents[2] / "engines" / "kernels"
FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-fPIC", "-shared")


class _Sizes(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("frames", "height", "width", "max_points")),
        *((name, ctypes.c_int32) for name in ("radius", "group_frames")),
        ("near_plane", ctypes.c_float),
        ("background", ctypes.c_uint8 * 3),
    )


class CpuLibrary:
    """The library; it is compiled into ``folder``, with ``flags`` beside the usual ones.

    Where there is no C++ compiler (c++, g++ or clang++, or $CXX), the test is skipped.
    """

    def __init__(self, folder: Path, flags: tuple[str, ...] = ()) -> None:
        names = (os.environ.get("CXX"), "c++", "g++", "clang++")
        compiler = next((found for name in names if name and (found := shutil.which(name))), None)
        if compiler is None:
            pytest.skip("no C++ compiler to build the kernels' arithmetic with")
        path = folder / "libsplat_cpu.so"
        source = HERE / "native" / "splat_cpu.cpp"
        command = (compiler, *FLAGS, *flags, f"-I{KERNELS}", f"-I{KERNELS / 'native'}", str(source), "-o", str(path))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self._library = ctypes.CDLL(str(path))
        self._library.splat_cpu_frame_keys.restype = ctypes.c_size_t

    def frame_keys(self, height: int, width: int, radius: int) -> int:
        """Keys of one frame."""
        return int(self._library.splat_cpu_frame_keys(height, width, radius))

    def plan(self, sizes: tuple[int, int, int, int, int], group_frames: int, l2_bytes: int) -> list[int]:
        """The C library's plan; sizes are frames, height, width, max_points and radius."""
        given = _Sizes(*sizes, group_frames, 0.0)
        out = (ctypes.c_int64 * 6)()
        self._library.splat_cpu_plan(ctypes.byref(given), ctypes.c_int64(l2_bytes), out)
        return list(out)

    def launch(self, kernel: str, blocks: int, arguments: int, group: int) -> int:
        """Do on the host what a kernel does; 0, or why not."""
        pointer = ctypes.c_void_p(arguments)
        return int(self._library.splat_cpu_launch(kernel.encode(), blocks, pointer, group))

    def render(self, feed: Feed, canvas: Canvas, group_frames: int = 1) -> list[np.ndarray]:
        """frames, depth and hole_mask; what is not written keeps a pattern that no right result has."""
        count, height, width = len(feed["world_to_camera"]), canvas.height, canvas.width
        background = (ctypes.c_uint8 * 3)(*canvas.background)
        points = len(feed["xyz"])
        sizes = _Sizes(count, height, width, points, canvas.radius, group_frames, canvas.near, background)
        outputs = [
            np.full((count, height, width, 3), 0x5A, np.uint8),
            np.full((count, height, width), np.nan, np.float32),
            np.full((count, height, width), 0x5A, np.uint8),
        ]
        arrays = [np.ascontiguousarray(feed[name]) for name in INPUTS]
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*arrays, *outputs)]
        assert self._library.splat_cpu_render(ctypes.byref(sizes), *pointers) == 0
        return outputs
