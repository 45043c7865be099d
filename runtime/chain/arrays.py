"""What a user hands in: an array on the host or on the device, checked against the buffer it is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.chain.description import Buffer
from videoscene_rt.engines.device import Device
from videoscene_rt.engines.engine import TensorView, dtype_name
from videoscene_rt.engines.errors import InputError

_ON_DEVICE = (2, 13)
"""kDLCUDA and kDLCUDAManaged (dlpack.h)."""

CLOUD = ("xyz", "rgb")
"""Inputs of which only the first ``num_points`` rows are read: the only ones that may be shorter than their buffers."""

Given = npt.NDArray[Any] | TensorView


def taken(device: Device, buffer: Buffer, array: Any, stream: int, whole: bool = False) -> Given:
    """A NumPy array, or a view of device memory, of the buffer's dtype and shape.

    Args:
        device: the chain's.
        buffer: what it is for.
        array: NumPy's, or anything that speaks DLPack or the CUDA array interface.
        stream: the handle of the stream that will read a device array.
        whole: it is to be bound: the first axis must have its full length, and nothing may be copied. Else that of a cloud may be
            shorter.

    Raises:
        InputError: dtype, shape or place do not fit, or it is not contiguous; to be bound, it is not in memory as the machine reads it,
            or is a result's and cannot be written to.
    """
    found: Given
    if on_device(array):
        if device.kind != "cuda":
            raise InputError(f"{buffer.name} lies on a GPU; this pipeline runs on the CPU", "copy it to the host first")
        from videoscene_rt.engines.cuda.external import external_view

        found = external_view(device, buffer.name, array, stream)  # type: ignore[arg-type]
        dtype = found.dtype
    else:
        try:
            found = np.asarray(array)
        except Exception as error:  # whatever the object raises
            raise InputError(f"{buffer.name}: {type(array).__name__} is no array: {error}") from error
        if whole and not found.flags.c_contiguous:
            raise InputError(f"{buffer.name} is not contiguous", "copy it first: numpy.ascontiguousarray")
        if whole and not (found.dtype.isnative and found.flags.aligned):
            remedy = f"copy it first: numpy.array(array, {buffer.dtype!r})"
            raise InputError(f"{buffer.name} is in another byte order than this machine's, or not aligned", remedy)
        if whole and buffer.role == "result" and not found.flags.writeable:
            raise InputError(f"{buffer.name} cannot be written to", "bind an array that can: numpy.empty")
        dtype = dtype_name(found.dtype)
    shape = tuple(found.shape)
    fits = shape == buffer.shape
    if buffer.name in CLOUD and not whole:
        fits = shape[1:] == buffer.shape[1:] and shape[:1] <= buffer.shape[:1]
    if dtype != buffer.dtype or not fits or len(shape) != len(buffer.shape):
        wanted = f"{buffer.dtype}{list(buffer.shape)}"
        raise InputError(f"{buffer.name} is {wanted}, not {dtype}{list(shape)}")
    return found


def taken_whole(device: Device, buffer: Buffer, array: Any, stream: int) -> TensorView:
    """The user's memory for a buffer, to be used in place.

    Args:
        device, buffer, array, stream: see `taken`.

    Raises:
        InputError: dtype, shape or place do not fit, it is not contiguous, or it lies on the host and the chain does not.
    """
    found = taken(device, buffer, array, stream, whole=True)
    if not isinstance(found, np.ndarray):
        return found
    if device.kind != "cpu":
        raise InputError(f"{buffer.name} lies on the host; the pipeline runs on {device.name}")
    return TensorView.of_numpy(found)


def on_device(array: Any) -> bool:
    """Whether an array lies in a GPU's memory, by what it says of itself."""
    if isinstance(array, np.ndarray):
        return False
    if hasattr(array, "__cuda_array_interface__"):
        return True
    where = getattr(array, "__dlpack_device__", None)
    return where is not None and where()[0] in _ON_DEVICE
