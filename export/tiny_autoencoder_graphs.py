"""The tiny autoencoder's graphs: what each takes and returns is in docs/architecture.md, 'The graphs'."""

from __future__ import annotations

from torch import Tensor, nn

from videoscene_rt.engines.preset import TEMPORAL_COMPRESSION
from videoscene_rt.export.pixels import noised, pixels_from_uint8, uint8_from_unit, unit_from_pixels
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder, repeat_first_frame, still_clips


class _Graph(nn.Module):
    def __init__(self, autoencoder: TinyAutoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder


class EncodeImages(_Graph):
    """Both condition images, noised, each as a clip of one frame."""

    def forward(self, images: Tensor, sigma: Tensor, eta: Tensor) -> tuple[Tensor, Tensor]:
        """u8[2,H,W,3], f32[1], f32[2,3,H,W] → first, last, each f32[1,1,16,h,w]."""
        pixels = unit_from_pixels(noised(pixels_from_uint8(images), sigma, eta))
        latents = self.autoencoder.encode_clips(still_clips(pixels))
        return latents[:1], latents[1:]


class EncodeClip(_Graph):
    """A whole clip, all frames at once."""

    def forward(self, frames: Tensor) -> Tensor:
        """u8[4T−3,H,W,3] → latent f32[1,T,16,h,w]."""
        pixels = unit_from_pixels(pixels_from_uint8(frames))
        return self.autoencoder.encode(repeat_first_frame(pixels))[0].unsqueeze(0)


class EncodeStream(_Graph):
    """Four frames of a stream. The first call takes the first frame four times and memory of zeros."""

    def forward(self, frames: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """u8[4,H,W,3], memory_00… → latent f32[1,1,16,h,w], next_memory_00…."""
        latent, following = self.autoencoder.encode(unit_from_pixels(pixels_from_uint8(frames)), memory)
        return (latent.unsqueeze(0), *following)


class DecodeClip(_Graph):
    """A whole latent clip, all frames at once."""

    def forward(self, latent: Tensor) -> Tensor:
        """f32[1,T,16,h,w] → frames u8[4T−3,H,W,3]."""
        frames, _ = self.autoencoder.decode(latent.squeeze(0))
        return uint8_from_unit(frames[TEMPORAL_COMPRESSION - 1 :])


class DecodeStream(_Graph):
    """One latent frame of a stream. The first call takes memory of zeros; only its fourth frame is to be kept."""

    def forward(self, latent: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """f32[1,1,16,h,w], memory_00… → frames u8[4,H,W,3], next_memory_00…."""
        frames, following = self.autoencoder.decode(latent.squeeze(0), memory)
        return (uint8_from_unit(frames), *following)


def tiny_autoencoder_graphs(autoencoder: TinyAutoencoder) -> dict[str, nn.Module]:
    """The five graph modules by name, in eval mode. They share the autoencoder and are independent of H, W and T."""
    kinds: dict[str, type[_Graph]] = {
        "encode_images": EncodeImages,
        "encode_clip": EncodeClip,
        "encode_stream": EncodeStream,
        "decode_clip": DecodeClip,
        "decode_stream": DecodeStream,
    }
    return {name: kind(autoencoder).eval() for name, kind in kinds.items()}
