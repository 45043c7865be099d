"""The tiny autoencoder: TAEHV's architecture for CogVideoX latents (github.com/madebyollin/taehv, weights ``taecvx``).

Two-dimensional convolutions over [frames, channels, height, width]; a memory block sees its own input one frame back,
and frames are merged or split by channels. Pixels in [0, 1], latents in the student's space (no scaling). Parameter
names and shapes are the published file's. Nothing here knows a clip from a stream: both are the same layers, with zeros
or with the frame that the call before left in each memory block's past.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from videoscene_rt.engines.preset import LATENT_CHANNELS, TEMPORAL_COMPRESSION, TinyAutoencoderSizes

ENCODER_POOLS = (2, 2, 1)
"""How many frames each encoder stage merges into one."""
DECODER_GROWS = (1, 2, 2)
"""How many frames each decoder stage splits one into."""
MEMORY_BLOCKS = 3
"""Memory blocks a stage."""


class LatentClamp(nn.Module):
    """Softly limits latents to ±3: 3·tanh(z/3)."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(z / 3.0) * 3.0


class MemoryBlock(nn.Module):
    """A residual block of three convolutions over a frame and the frame before it, both [N,C,H,W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(2 * width, width), nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width)
        )

    def forward(self, x: Tensor, past: Tensor) -> Tensor:
        return functional.relu(self.conv(torch.cat([x, past], dim=1)) + x)


class TemporalPool(nn.Module):
    """Merges each ``stride`` frames into one: [N·stride,C,H,W] → [N,C,H,W]."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(width * stride, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        frames, channels, height, width = x.shape
        merged: Tensor = self.conv(x.reshape(frames // self.stride, self.stride * channels, height, width))
        return merged


class TemporalGrow(nn.Module):
    """Splits each frame into ``stride`` frames and doubles height and width: [N,C,H,W] → [N·stride,C,2H,2W].

    Published as upsampling followed by this 1×1 convolution. Nearest-neighbour upsampling only repeats pixels, so the
    convolution gives the same values at a quarter of the work before it.
    """

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(width, width * stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        frames, channels, height, width = x.shape
        x = self.conv(x).reshape(frames * self.stride, channels, height, width)
        return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class TinyAutoencoder(nn.Module):
    """Encoder and decoder. Random weights until some are loaded; see ``tiny_autoencoder_weights``."""

    def __init__(self, sizes: TinyAutoencoderSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = _encoder(sizes.encoder_width)
        self.decoder = _decoder(sizes.decoder_widths)

    def encode(self, frames: Tensor, memory: Sequence[Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Frames f32[4T,3,H,W] in [0, 1] → latents f32[T,16,h,w], and the memory for the frames that follow.

        Args:
            memory: what the call before returned, or None for the zeros of a beginning.
        """
        return _run(self.encoder, frames, memory)

    def encode_clips(self, clips: Tensor) -> Tensor:
        """Whole clips f32[N,4T,3,H,W] in [0, 1] → latents f32[N,T,16,h,w]; nothing of one clip reaches another."""
        latents, _ = _run(self.encoder, clips.flatten(0, 1), None, len(clips))
        return latents.reshape(len(clips), -1, *latents.shape[1:])

    def decode(self, latents: Tensor, memory: Sequence[Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Latents f32[T,16,h,w] → frames f32[4T,3,H,W], nominally in [0, 1], and the memory for the latents to follow.

        The first three frames of a clip come from a memory without a past and are to be dropped: latent i describes
        frames 4i−3 … 4i, and latent 0 therefore frame 0 alone.
        """
        return _run(self.decoder, latents, memory)


def repeat_first_frame(frames: Tensor) -> Tensor:
    """The 4T−3 frames of a clip, [4T−3,…], with the first one repeated three times in front: [4T,…].

    So latent i describes frames 4i−3 … 4i, as the decoder and the CogVideoX autoencoder have it. (The published helper
    repeats the last frame at the end instead, which shifts every latent by three frames against its decoder.)
    """
    return torch.cat([frames[:1]] * (TEMPORAL_COMPRESSION - 1) + [frames], dim=0)


def still_clips(images: Tensor) -> Tensor:
    """Images [N,…] as clips of one frame each, that frame repeated as `repeat_first_frame` does it: [N,4,…]."""
    return torch.stack([images] * TEMPORAL_COMPRESSION, dim=1)


def encoder_memory_shapes(sizes: TinyAutoencoderSizes, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """The encoder's memory for H×W pixels: ``memory_00``… and their shapes, in the order the graphs take them.

    All are float32, zero before the first frames; the outputs are named ``next_memory_00``….
    """
    scales = [(sizes.encoder_width, height // factor, width // factor) for factor in (2, 4, 8)]
    return _named_memory(scales)


def decoder_memory_shapes(sizes: TinyAutoencoderSizes, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """The decoder's memory for H×W pixels: ``memory_00``… and their shapes; see ``encoder_memory_shapes``."""
    factors = (8, 4, 2)
    scales = [
        (channels, height // factor, width // factor)
        for channels, factor in zip(sizes.decoder_widths, factors, strict=False)
    ]
    return _named_memory(scales)


def _named_memory(scales: list[tuple[int, int, int]]) -> dict[str, tuple[int, ...]]:
    shapes = [(1, *scale) for scale in scales for _ in range(MEMORY_BLOCKS)]
    return {f"memory_{index:02d}": shape for index, shape in enumerate(shapes)}


def _conv(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias)


# The positions in both Sequentials are the published file's key numbers; layers without weights hold a place there.


def _encoder(width: int) -> nn.Sequential:
    layers: list[nn.Module] = [_conv(3, width), nn.ReLU()]
    for stride in ENCODER_POOLS:
        layers += [TemporalPool(width, stride), _conv(width, width, stride=2, bias=False)]
        layers += [MemoryBlock(width) for _ in range(MEMORY_BLOCKS)]
    return nn.Sequential(*layers, _conv(width, LATENT_CHANNELS))


def _decoder(widths: tuple[int, int, int, int]) -> nn.Sequential:
    layers: list[nn.Module] = [LatentClamp(), _conv(LATENT_CHANNELS, widths[0]), nn.ReLU()]
    for index, stride in enumerate(DECODER_GROWS):
        layers += [MemoryBlock(widths[index]) for _ in range(MEMORY_BLOCKS)]
        # The Identity is where the published file has its upsampling, which TemporalGrow does after its convolution.
        layers += [nn.Identity(), TemporalGrow(widths[index], stride)]
        layers += [_conv(widths[index], widths[index + 1], bias=False)]
    return nn.Sequential(*layers, nn.ReLU(), _conv(widths[-1], 3))


def _run(
    layers: nn.Sequential, x: Tensor, memory: Sequence[Tensor] | None, clips: int = 1
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Pools and grows keep a clip's frames together; only a memory block must be told where each of several clips begins."""
    following: list[Tensor] = []
    for layer in layers:
        if isinstance(layer, MemoryBlock):
            past = _one_frame_back(x, None if memory is None else memory[len(following)], clips)
            following.append(x[-1:])
            x = layer(x, past)
        else:
            x = layer(x)
    return x, tuple(following)


def _one_frame_back(x: Tensor, last: Tensor | None, clips: int) -> Tensor:
    """For every frame of x [N,C,H,W] the frame before it; before the first one of a clip, ``last`` [1,C,H,W] or zeros."""
    if last is None:
        # A Pad, rather than zeros to concatenate: those would become large constants of the graph.
        if clips > 1:
            by_clip = x.unflatten(0, (clips, -1))
            return functional.pad(by_clip, (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1].flatten(0, 1)
        return functional.pad(x, (0, 0, 0, 0, 0, 0, 1, 0))[:-1]
    if x.shape[0] == 1:
        return last
    return torch.cat([last, x[:-1]], dim=0)
