"""The published autoencoder's graphs: what each takes and returns is in docs/architecture.md, 'The graphs'.

A chunk's convolutions need the last two frames that those of the chunk before saw. That cache enters and leaves as
explicit tensors, so that every graph has static shapes. Group norms span a chunk, so the chunks must be diffusers' own
(``engines/chunking.py``). Inside, videos are [N,C,T,H,W] as diffusers has them; at the borders the frame axis comes
before the channels.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLCogVideoX
from torch import Tensor, nn

from videoscene_rt.export.cogvideox_autoencoder import CacheLayout
from videoscene_rt.export.conv_cache import flatten, unflatten
from videoscene_rt.export.pixels import noised, pixels_from_uint8, uint8_from_pixels

_LOGVAR_MIN, _LOGVAR_MAX = -30.0, 20.0  # diffusers' DiagonalGaussianDistribution


class _Half(nn.Module):
    """An encoder or a decoder with its cache as a flat list."""

    def __init__(self, model: nn.Module, scaling_factor: float, cache: CacheLayout) -> None:
        super().__init__()
        self.model = model
        self.scaling_factor = scaling_factor
        self.paths = cache.paths

    def run(self, video: Tensor, cache: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """[N,C,T,H,W] → the same with other sizes, and the cache for the next chunk. No cache: a first chunk."""
        out, nested = self.model(video, conv_cache=unflatten(self.paths, cache) if cache else None)
        following = flatten(nested)
        return out, [following[path] for path in self.paths]

    def encode(self, video: Tensor, noise: Tensor, cache: tuple[Tensor, ...] = ()) -> tuple[Tensor, list[Tensor]]:
        """f32[N,3,F,H,W] in [-1, 1] and noise f32[N,T,16,h,w] → scaling·(mean + std·noise), and the next cache."""
        moments, following = self.run(video, cache)
        mean, logvar = moments.permute(0, 2, 1, 3, 4).chunk(2, dim=2)
        std = torch.exp(0.5 * logvar.clamp(_LOGVAR_MIN, _LOGVAR_MAX))
        return self.scaling_factor * (mean + std * noise), following

    def decode(self, latent: Tensor, cache: tuple[Tensor, ...] = ()) -> tuple[Tensor, list[Tensor]]:
        """f32[1,T,16,h,w] → frames f32[N,3,H,W], nominally in [-1, 1], and the next cache."""
        video, following = self.run((1.0 / self.scaling_factor) * latent.permute(0, 2, 1, 3, 4), cache)
        return video.squeeze(0).permute(1, 0, 2, 3), following


class EncodeImages(_Half):
    """Both condition images, noised, as a batch of two videos of one frame each: the layers know no batch, the norms neither."""

    def forward(self, images: Tensor, sigma: Tensor, eta: Tensor, posterior_noise: Tensor) -> tuple[Tensor, Tensor]:
        """u8[2,H,W,3], f32[1], f32[2,3,H,W], f32[2,1,16,h,w] → first, last, each f32[1,1,16,h,w]."""
        pixels = noised(pixels_from_uint8(images), sigma, eta)
        latents, _ = self.encode(pixels.unsqueeze(2), posterior_noise)
        return latents[:1], latents[1:]


class EncodeChunk(_Half):
    """``encode_first`` (9 frames, no cache) and ``encode_next`` (8 frames, the cache of the chunk before)."""

    def forward(self, frames: Tensor, posterior_noise: Tensor, *cache: Tensor) -> tuple[Tensor, ...]:
        """u8[N,H,W,3], f32[1,T,16,h,w], cache_00… → latent f32[1,T,16,h,w], next_cache_00…."""
        video = pixels_from_uint8(frames).permute(1, 0, 2, 3).unsqueeze(0)
        latent, following = self.encode(video, posterior_noise, cache)
        return (latent, *following)


class DecodeChunk(_Half):
    """``decode_first`` (3 latent frames, no cache) and ``decode_next`` (2, the cache of the chunk before)."""

    def forward(self, latent: Tensor, *cache: Tensor) -> tuple[Tensor, ...]:
        """f32[1,T,16,h,w], cache_00… → frames u8[N,H,W,3], next_cache_00…."""
        pixels, following = self.decode(latent, cache)
        return (uint8_from_pixels(pixels), *following)


def cogvideox_autoencoder_graphs(
    vae: AutoencoderKLCogVideoX, encoder_cache: CacheLayout, decoder_cache: CacheLayout
) -> dict[str, nn.Module]:
    """The five graph modules by name, in eval mode, sharing the autoencoder's encoder and decoder.

    Args:
        vae: from ``build_cogvideox_autoencoder``, or diffusers' own with a published configuration.
        encoder_cache, decoder_cache: from ``cogvideox_cache_layouts`` of the same sizes (any H×W).
    """
    scaling = float(vae.config.scaling_factor)
    modules: dict[str, nn.Module] = {
        "encode_images": EncodeImages(vae.encoder, scaling, encoder_cache),
        "encode_first": EncodeChunk(vae.encoder, scaling, encoder_cache),
        "encode_next": EncodeChunk(vae.encoder, scaling, encoder_cache),
        "decode_first": DecodeChunk(vae.decoder, scaling, decoder_cache),
        "decode_next": DecodeChunk(vae.decoder, scaling, decoder_cache),
    }
    return {name: module.eval() for name, module in modules.items()}
