"""The clips as the student sees them: latents, made once by the trained encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from videoscene_rt.export.distill.autoencoding import Halves, encode
from videoscene_rt.export.distill.diffusion import condition_of
from videoscene_rt.export.distill.store import Store, Variation


@dataclass(frozen=True)
class Latents:
    """M examples; float16 to save memory, on the device.

    Attributes:
        clean: [M,T,16,h,w].
        coarse: [M,V,T,16,h,w].
        images: z_1 and z_L, [M,2,16,h,w].
        scene: which scene of the store each is, int64[M].
        variation: how it was varied.
    """

    clean: Tensor
    coarse: Tensor
    images: Tensor
    scene: Tensor
    variation: Variation

    def __len__(self) -> int:
        return len(self.clean)

    def condition(self, rows: Tensor) -> Tensor:
        """[z_1, 0, …, 0, z_L] of examples, float32[B,T,16,h,w]."""
        images = self.images[rows].to(torch.float32)
        return condition_of(images[:, :1], images[:, 1:], self.clean.shape[1])

    def pair(self, rows: Tensor, variants: Tensor) -> tuple[Tensor, Tensor]:
        """Clean and coarse latents of examples, float32[B,T,16,h,w] each."""
        return self.clean[rows].to(torch.float32), self.coarse[rows, variants].to(torch.float32)


@torch.no_grad()
def encoded(autoencoder: Halves, store: Store, scenes: Tensor, variation: Variation) -> Latents:
    """The latents of scenes int64[M] of a store, varied."""
    clean = encode(autoencoder, variation.of(store.clean[scenes]))
    coarse = [encode(autoencoder, variation.of(store.coarse[scenes, v])) for v in range(store.coarse.shape[1])]
    images = variation.of(store.images[scenes])
    ends = [encode(autoencoder, images[:, n : n + 1])[:, 0] for n in (0, 1)]
    half = torch.float16
    return Latents(
        clean.to(half),
        torch.stack(coarse, dim=1).to(half),
        torch.stack(ends, dim=1).to(half),
        scenes,
        variation,
    )


def together(parts: list[Latents]) -> Latents:
    """One table of all parts."""
    variations = [part.variation for part in parts]
    return Latents(
        torch.cat([part.clean for part in parts]),
        torch.cat([part.coarse for part in parts]),
        torch.cat([part.images for part in parts]),
        torch.cat([part.scene for part in parts]),
        Variation(
            torch.cat([one.mirrored for one in variations]),
            torch.cat([one.reversed for one in variations]),
            torch.cat([one.colours for one in variations]),
            torch.cat([one.gamma for one in variations]),
        ),
    )
