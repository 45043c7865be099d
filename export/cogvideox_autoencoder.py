"""The published autoencoder (diffusers' AutoencoderKLCogVideoX) and what its graphs hand from chunk to chunk."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLCogVideoX

from videoscene_rt.engines.preset import LATENT_CHANNELS, TEMPORAL_COMPRESSION, CogVideoXAutoencoderSizes
from videoscene_rt.export.conv_cache import CachePath, decoder_cache, encoder_cache


@dataclass(frozen=True)
class CacheLayout:
    """The cache tensors of one half of the autoencoder at one size, in the order in which the graphs take them."""

    paths: tuple[CachePath, ...]
    shapes: dict[str, tuple[int, ...]]
    """``cache_00``… → shape [1,C,2,height,width], float32. The outputs are named ``next_cache_00``…."""


def build_cogvideox_autoencoder(sizes: CogVideoXAutoencoderSizes, height: int, width: int) -> AutoencoderKLCogVideoX:
    """The published architecture in these sizes for H×W pixels, in eval mode, with torch's random initial weights.

    It is made on torch's default device; use ``with torch.device("meta")`` for shapes alone.
    """
    blocks = len(sizes.block_out_channels)
    return (
        AutoencoderKLCogVideoX(
            in_channels=3,
            out_channels=3,
            down_block_types=("CogVideoXDownBlock3D",) * blocks,
            up_block_types=("CogVideoXUpBlock3D",) * blocks,
            block_out_channels=sizes.block_out_channels,
            latent_channels=LATENT_CHANNELS,
            layers_per_block=sizes.layers_per_block,
            norm_num_groups=sizes.norm_num_groups,
            temporal_compression_ratio=TEMPORAL_COMPRESSION,
            sample_height=height,
            sample_width=width,
            scaling_factor=sizes.scaling_factor,
        )
        .requires_grad_(False)
        .eval()
    )


def cogvideox_cache_layouts(
    sizes: CogVideoXAutoencoderSizes, height: int, width: int
) -> tuple[CacheLayout, CacheLayout]:
    """The cache of the encoder and of the decoder for H×W pixels; allocates no tensors."""
    with torch.device("meta"):
        shell = build_cogvideox_autoencoder(sizes, height, width)
    return _layout(encoder_cache(shell.encoder, height, width)), _layout(decoder_cache(shell.decoder, height, width))


def _layout(cache: dict[CachePath, tuple[int, ...]]) -> CacheLayout:
    shapes = {f"cache_{index:02d}": shape for index, shape in enumerate(cache.values())}
    return CacheLayout(paths=tuple(cache), shapes=shapes)
