"""Kernels of 3-D convolutions that do what two or three layers of a tiny autoencoder do, from those layers' weights.

Everything is composed in float64 and rounded once. Names: O and I channels out and in, K kernel height and width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

# Nearest-neighbour doubling and a 3-tap convolution (zeros around) are one transposed convolution of stride 2 with 4 taps (pads 1): output
# 2y + a meets input i with tap 2y + a + 1 − 2i. For a = 0 the old taps fall on rows y − 1, y, y, for a = 1 on y, y, y + 1.
_DOUBLING = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float64)


def still(weight: Array) -> Array:
    """A frame by itself: [O,I,K,K] → [O,I,1,K,K]."""
    return weight[:, :, None]


def with_past(weight: Array) -> Array:
    """A frame and the one before it: [O,2I,K,K] over (frame, past) → [O,I,2,K,K], the past first."""
    now, past = np.split(weight, 2, axis=1)
    return np.ascontiguousarray(np.stack([past, now], axis=2))


def without_past(weight: Array) -> Array:
    """A frame whose past is zeros: of [O,2I,K,K] over (frame, past) the frame's half."""
    return np.ascontiguousarray(np.split(weight, 2, axis=1)[0])


def merged(weight: Array, frames: int) -> Array:
    """Frames that were merged by channels: [O,frames·I,K,K] → [O,I,frames,K,K]."""
    outputs, inputs, height, width = weight.shape
    parts = weight.reshape(outputs, frames, inputs // frames, height, width)
    return np.ascontiguousarray(parts.transpose(0, 2, 1, 3, 4))


def after_pointwise(weight: Array, pointwise: Array) -> Array:
    """A 1×1 convolution without bias [M,I], then a convolution [O,M,K,K], as one: [O,I,K,K]."""
    return _rounded(np.einsum("omhw,mi->oihw", weight.astype(np.float64), pointwise.astype(np.float64)))


def doubled(weight: Array) -> Array:
    """Pixels doubled, then a 3×3 convolution [O,I,3,3]: the kernel of one transposed convolution, [I,O,4,4], of stride 2 and pads 1."""
    return _rounded(np.einsum("oihw,ah,bw->ioab", weight.astype(np.float64), _DOUBLING, _DOUBLING))


def upsampled(weight: Array, pointwise: Array, frames: int) -> Array:
    """A 1×1 convolution without bias [frames·M,I], its channels split into frames, pixels doubled, then a 3×3 convolution [O,M,3,3]:
    the kernel of one transposed convolution, [I,O,frames,4,4], of strides (frames, 2, 2) and pads (0, 1, 1)."""
    split = pointwise.astype(np.float64).reshape(frames, -1, pointwise.shape[1])
    small = np.einsum("omhw,fmi->iofhw", weight.astype(np.float64), split)
    return _rounded(np.einsum("iofhw,ah,bw->iofab", small, _DOUBLING, _DOUBLING))


def _rounded(values: npt.NDArray[np.float64]) -> Array:
    return values.astype(np.float32)
