"""What a value [N·T,C,H,W] of a traced tiny autoencoder is, in terms of videos [N,C,T,H,W]; N is 1 for all but the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir


@dataclass(frozen=True)
class Video:
    """The video itself: ``value`` is float[N,C,T,H,W]."""

    value: ir.Value


@dataclass(frozen=True)
class Padded:
    """A frame of zeros in front."""

    of: Video


@dataclass(frozen=True)
class Past:
    """For each frame the one before it."""

    of: Video


@dataclass(frozen=True)
class ByClip:
    """The same, [N,T,C,H,W]: what is done to frames along the second axis is done in each clip by itself."""

    of: Video | Padded | Past


@dataclass(frozen=True)
class WithPast:
    """Each frame with the one before it, by channels."""

    of: Video


@dataclass(frozen=True)
class Merged:
    """Groups of so many frames merged by channels."""

    of: Video
    frames: int


@dataclass(frozen=True)
class Pointwise:
    """A 1×1 convolution without bias, weight float32[M,I], that the next convolution will contain."""

    of: Video | Merged
    weight: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Split:
    """Its channels split into so many frames."""

    of: Pointwise
    frames: int


@dataclass(frozen=True)
class Doubled:
    """Height and width doubled by repeating pixels."""

    of: Video | Pointwise | Split


Form: TypeAlias = "Video | Padded | Past | ByClip | WithPast | Merged | Pointwise | Split | Doubled"
