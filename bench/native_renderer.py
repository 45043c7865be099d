"""The native kernels' library called on torch's tensors, on torch's current stream: the renderer for the step in torch."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.preset import Preset

ABI = 1
_INPUTS = ("xyz", "rgb", "num_points", "world_to_camera", "intrinsics")
_OUTPUTS = ("frames", "depth", "hole_mask")


class SplatConfig(ctypes.Structure):
    """videoscene_rt_kernels.h's VsrtSplatConfig."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("frames", "height", "width", "max_points", "radius")),
        ("near_plane", ctypes.c_float),
        ("background", ctypes.c_uint8 * 4),
        ("group_frames", ctypes.c_int32),
    )


class SplatBuffers(ctypes.Structure):
    """videoscene_rt_kernels.h's VsrtSplatBuffers."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in (*_INPUTS, *_OUTPUTS, "workspace")),
        ("workspace_bytes", ctypes.c_size_t),
    )


class NativeRenderer:
    """Called as `videoscene_rt.export.renderer.Renderer` is; its results are its own tensors, the same ones every time.

    Args:
        library: the shared library that CMake built.
        preset: the sizes.
        device: where its tensors are: "cuda", or "cpu" for a stand-in of the library that works on host memory.

    Raises:
        InputError: the library cannot be loaded.
        BackendError: it is of another ABI, or refuses the sizes.
    """

    def __init__(self, library: Path, preset: Preset, device: str) -> None:
        self._cuda = device == "cuda"
        self._library = open_kernels(library)
        frames, height, width = preset.frames, preset.height, preset.width
        settings = preset.renderer
        background = (ctypes.c_uint8 * 4)(*settings.background, 0)
        self._config = SplatConfig(
            frames, height, width, preset.max_points, settings.radius, settings.near, background, 0
        )
        nbytes = ctypes.c_size_t()
        self._check(self._library.vsrt_splat_workspace_bytes(ctypes.byref(self._config), ctypes.byref(nbytes)))
        video = (frames, height, width)
        self._outputs = (
            torch.empty((*video, 3), dtype=torch.uint8, device=device),
            torch.empty(video, dtype=torch.float32, device=device),
            torch.empty(video, dtype=torch.uint8, device=device),
        )
        self._workspace = torch.empty(nbytes.value, dtype=torch.uint8, device=device)
        self._buffers = SplatBuffers(workspace=self._workspace.data_ptr(), workspace_bytes=nbytes.value)
        for name, tensor in zip(_OUTPUTS, self._outputs, strict=True):
            setattr(self._buffers, name, tensor.data_ptr())

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """xyz f32[P,3], rgb u8[P,3], num_points i32[1], world_to_camera f32[F,4,4], intrinsics f32[F,3,3], dense."""
        for name, tensor in zip(_INPUTS, inputs, strict=True):
            setattr(self._buffers, name, tensor.data_ptr())
        stream = torch.cuda.current_stream().cuda_stream if self._cuda else 0
        enqueue = self._library.vsrt_splat_enqueue
        self._check(enqueue(ctypes.byref(self._config), ctypes.byref(self._buffers), ctypes.c_void_p(stream)))
        return self._outputs

    def _check(self, status: int) -> None:
        if status:
            words = self._library.vsrt_status_string(status).decode()
            raise BackendError(f"the kernels' library refused: {words} (status {status})")


def open_kernels(path: Path) -> Any:
    """Load the library.

    Raises:
        InputError: it cannot be loaded. BackendError: it is of another ABI.
    """
    try:
        library = ctypes.CDLL(str(path.resolve()))
    except OSError as error:
        raise InputError(
            f"{path} cannot be loaded: {error}", "build it: cmake -S . -B build && cmake --build build"
        ) from error
    library.vsrt_status_string.restype = ctypes.c_char_p
    if (found := library.vsrt_kernels_abi()) != ABI:
        raise BackendError(f"{path} has ABI {found}; this program knows {ABI}")
    return library
