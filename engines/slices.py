"""A contiguous part of a dense array, worked out without the array."""

from __future__ import annotations

from math import prod

import numpy as np

from videoscene_rt.engines.engine import TensorView

Index = tuple[slice, ...]


def contiguous_part(shape: tuple[int, ...], index: Index) -> tuple[int, tuple[int, ...]]:
    """Where a part of a dense array begins, in elements, and its shape.

    Args:
        shape: of the whole.
        index: slices of the first axes, with step 1.

    Raises:
        ValueError: the part is not contiguous.
    """
    spans = [part.indices(length) for part, length in zip(index, shape, strict=False)]
    if len(index) > len(shape) or any(step != 1 for _, _, step in spans):
        raise ValueError(f"{index} is no contiguous part of {shape}")
    part = tuple(max(stop - start, 0) for start, stop, _ in spans) + shape[len(spans) :]
    cut = [axis for axis, length in enumerate(part) if length != shape[axis]]
    if cut and 0 not in part and any(length != 1 for length in part[: cut[-1]]):
        raise ValueError(f"{index} is no contiguous part of {shape}")
    offset = sum(start * prod(shape[axis + 1 :]) for axis, (start, _, _) in enumerate(spans))
    return offset, part


def part_of(view: TensorView, index: Index) -> TensorView:
    """A contiguous part of somebody's memory.

    Raises:
        ValueError: the part is not contiguous.
    """
    offset, shape = contiguous_part(view.shape, index)
    pointer = view.pointer + offset * np.dtype(view.dtype).itemsize
    owner = view.owner[index] if isinstance(view.owner, np.ndarray) else view.owner
    return TensorView(pointer, view.dtype, shape, view.device, owner)
