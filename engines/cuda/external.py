"""Somebody else's array on the device: taken through DLPack or the CUDA array interface, without a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from videoscene_rt.engines.cuda.errors import first_line
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import InputError

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice


def external_view(device: CudaDevice, name: str, array: Any, stream: int) -> TensorView:
    """A view of a device array, which stays alive with it.

    Args:
        device: where it must lie.
        name: what it is called in messages.
        array: with ``__dlpack__`` or ``__cuda_array_interface__``.
        stream: the handle of the stream that will read it; it waits for what its producer says is still under way.

    Raises:
        InputError: it lies elsewhere, is not dense, or cannot be taken.
    """
    from cuda.core.utils import StridedMemoryView

    try:
        found = StridedMemoryView.from_any_interface(array, stream_ptr=stream)
        dtype = np.dtype(found.dtype).name
    except Exception as error:  # producers raise what they like
        raise InputError(f"{name}: this array cannot be taken: {first_line(error)}") from error
    if not found.is_device_accessible:
        raise InputError(f"{name} does not lie on {device.name}", "give a NumPy array, or one on this GPU")
    if found.device_id not in (device.index, -1):
        raise InputError(f"{name} lies on CUDA device {found.device_id}; this pipeline is on {device.index}")
    shape = tuple(int(length) for length in found.shape)
    if not _dense(shape, found.strides):
        raise InputError(f"{name} is not contiguous: shape {list(shape)}, strides {found.strides}", "copy it first")
    return TensorView(int(found.ptr), dtype, shape, "cuda", (found, array))


def _dense(shape: tuple[int, ...], strides: Any) -> bool:
    """C order; strides count elements, and None is C order."""
    if strides is None or 0 in shape:
        return True
    expected = 1
    for length, stride in zip(reversed(shape), reversed(tuple(strides)), strict=True):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return True
