"""The tiny autoencoder over batches of clips: the same layers and values as its graphs, B clips at once."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from videoscene_rt.engines.preset import TEMPORAL_COMPRESSION
from videoscene_rt.export.tiny_autoencoder import MemoryBlock


class Halves(Protocol):
    """An encoder and a decoder: a `TinyAutoencoder`, or halves of two."""

    @property
    def encoder(self) -> nn.Sequential: ...

    @property
    def decoder(self) -> nn.Sequential: ...


def encode(autoencoder: Halves, frames: Tensor) -> Tensor:
    """Frames float32[B,4T−3,3,H,W] in 0…1 → latents [B,T,16,h,w]; one frame is a condition image, as `EncodeImages` has it."""
    padded = torch.cat([frames[:, :1]] * (TEMPORAL_COMPRESSION - 1) + [frames], dim=1)
    return _run(autoencoder.encoder, padded)


def decode(autoencoder: Halves, latents: Tensor) -> Tensor:
    """Latents [B,T,16,h,w] → frames [B,4T−3,3,H,W], nominally in 0…1, not clamped."""
    return _run(autoencoder.decoder, latents)[:, TEMPORAL_COMPRESSION - 1 :]


def unit_frames(frames: Tensor) -> Tensor:
    """uint8[...,H,W,3] → float32[...,3,H,W] in 0…1."""
    return frames.movedim(-1, -3).to(torch.float32) / 255.0


def _run(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Pools and grows keep a clip's frames together; only a memory block must be told where a clip begins."""
    clips = len(x)
    x = _laid_out(x.flatten(0, 1))
    for layer in layers:
        if isinstance(layer, MemoryBlock):
            past = torch.cat([x[-1:], x[:-1]])
            past[:: len(x) // clips] = 0.0
            x = layer(x, past)
        else:
            x = _laid_out(layer(x))
    by_clip: Tensor = x.unflatten(0, (clips, -1))
    return by_clip


def _laid_out(x: Tensor) -> Tensor:
    """Channels last on a GPU, where half precision convolutions are fastest so."""
    return x.contiguous(memory_format=torch.channels_last) if x.is_cuda else x
