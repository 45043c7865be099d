"""The clips of a run in the device's memory, and their variations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from videoscene_rt.export.distill.autoencoding import unit_frames
from videoscene_rt.export.distill.clips import Clips, ClipSource, joined
from videoscene_rt.export.distill.procedural import ProceduralClips


@dataclass(frozen=True)
class Store:
    """N scenes with V coarse videos each, as bytes.

    Attributes:
        coarse: uint8[N,V,F,H,W,3].
        clean: uint8[N,F,H,W,3].
        images: uint8[N,2,H,W,3].
    """

    coarse: Tensor
    clean: Tensor
    images: Tensor

    def __len__(self) -> int:
        return len(self.clean)


@dataclass(frozen=True)
class Variation:
    """How a clip is changed, so that one scene stands for many; the scene that is seen stays a possible one.

    Attributes (one entry for each clip of a batch):
        mirrored: left and right exchanged, bool[B].
        reversed: last frame first, bool[B]: the way between the cameras is the same from both ends.
        colours: the order of the colour channels, int64[B,3].
        gamma: exponent of the levels, float32[B].
    """

    mirrored: Tensor
    reversed: Tensor
    colours: Tensor
    gamma: Tensor

    @classmethod
    def drawn(cls, count: int, generator: torch.Generator, device: torch.device) -> Variation:
        """Variations for ``count`` clips, drawn on the host."""
        shuffled = torch.rand(count, 3, generator=generator).argsort(dim=1)
        kept = torch.rand(count, 1, generator=generator) < 0.6
        colours = torch.where(kept, torch.arange(3), shuffled)
        gamma = torch.exp(0.25 * torch.randn(count, generator=generator).clamp(-2.0, 2.0))
        mirrored, backwards = (torch.rand(count, generator=generator) < 0.5 for _ in range(2))
        return cls(mirrored.to(device), backwards.to(device), colours.to(device), gamma.to(device))

    def __getitem__(self, rows: Tensor | slice) -> Variation:
        return replace(
            self,
            mirrored=self.mirrored[rows],
            reversed=self.reversed[rows],
            colours=self.colours[rows],
            gamma=self.gamma[rows],
        )

    def of(self, frames: Tensor) -> Tensor:
        """uint8[B,F,H,W,3] → the varied frames, float32[B,F,3,H,W] in 0…1."""
        x = unit_frames(frames)
        x = torch.where(_wide(self.mirrored), x.flip(-1), x)
        x = torch.where(_wide(self.reversed), x.flip(1), x)
        order = self.colours[:, None, :, None, None].expand(-1, x.shape[1], -1, *x.shape[3:])
        return x.gather(2, order) ** _wide(self.gamma)


def generated(source: ClipSource, seeds: Sequence[int], variants: int, at_once: int) -> Iterator[list[Clips]]:
    """For each group of ``at_once`` seeds, its clips in every variant."""
    for start in range(0, len(seeds), at_once):
        group = seeds[start : start + at_once]
        if isinstance(source, ProceduralClips):
            yield source.variants(group, variants)
        else:
            yield [source.clips(group, variant) for variant in range(variants)]


def stored(groups: Sequence[list[Clips]]) -> Store:
    """One store of all groups."""
    variants = [joined(parts) for parts in zip(*groups, strict=True)]
    return Store(torch.stack([part.coarse for part in variants], dim=1), variants[0].clean, variants[0].images)


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1, 1)
