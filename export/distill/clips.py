"""Clips: what the student learns from, and the narrow interface of everything that makes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Clips:
    """B clips of F frames, on one device.

    Attributes:
        coarse: the rendered cloud, uint8[B,F,H,W,3].
        holes: 1 where no point fell, uint8[B,F,H,W].
        clean: what a camera would have seen, uint8[B,F,H,W,3].
        images: the two photographs that the step is given, uint8[B,2,H,W,3].
    """

    coarse: Tensor
    holes: Tensor
    clean: Tensor
    images: Tensor

    def __len__(self) -> int:
        return len(self.coarse)

    def groups(self, size: int) -> Iterator[Clips]:
        """The clips in groups of ``size``, the last one maybe smaller."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield Clips(self.coarse[part], self.holes[part], self.clean[part], self.images[part])

    def to(self, device: torch.device | str) -> Clips:
        """The clips on another device."""
        return Clips(*(part.to(device) for part in (self.coarse, self.holes, self.clean, self.images)))


class ClipSource(Protocol):
    """Where clips come from: a function of numbers, so that a run can be repeated and a held-out clip stays held out."""

    def training_seeds(self) -> range | Sequence[int]:
        """The numbers of the clips that may be trained on."""
        ...

    def validation_seeds(self) -> range | Sequence[int]:
        """The numbers of the clips that training looks at, to stop, to choose and to report, but does not learn from."""
        ...

    def held_out_seeds(self) -> range | Sequence[int]:
        """The numbers of the clips that training never sees."""
        ...

    def clips(self, seeds: Sequence[int], variant: int = 0) -> Clips:
        """The clips of those numbers; another ``variant`` has the same clean frames behind another cloud, if it can."""
        ...


def joined(parts: Sequence[Clips]) -> Clips:
    """Clips one after the other."""
    return Clips(
        torch.cat([part.coarse for part in parts]),
        torch.cat([part.holes for part in parts]),
        torch.cat([part.clean for part in parts]),
        torch.cat([part.images for part in parts]),
    )
