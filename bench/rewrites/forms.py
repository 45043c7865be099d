"""The forms: functions over videos [1,C,T,H,W] that give what diffusers' layers give, from the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from videoscene_rt.engines.rewrite import kernels

Form = Callable[..., Tensor]
_PARTS = (torch.tensor([[1.0, 0, 0], [0, 1, 1]]), torch.tensor([[1.0, 1, 0], [0, 0, 1]]))
"""For an even and an odd row of the large picture: which of the three weights meet the upper and the lower of two small rows."""


def repeated_late(upsample: Any) -> Form:
    """The convolution over each frame once, then the frames again."""
    weight, bias = upsample.conv.weight, upsample.conv.bias

    def form(video: Tensor) -> Tensor:
        doubled = functional.interpolate(_frames(video), scale_factor=2.0)
        return _video(functional.conv2d(doubled, weight, bias, padding=1), upsample)

    return form


def transposed(upsample: Any) -> Form:
    """Doubling and convolution as one transposed convolution; frames again afterwards."""
    weight, bias = upsample.conv.weight, upsample.conv.bias
    summed = torch.from_numpy(kernels.doubled(weight.float().cpu().numpy())).to(weight)
    kernel = summed.contiguous(memory_format=torch.channels_last)

    def form(video: Tensor) -> Tensor:
        large = functional.conv_transpose2d(_frames(video), kernel, bias, stride=2, padding=1)
        return _video(large, upsample)

    return form


def phases(upsample: Any) -> Form:
    """A 2×2 convolution for each of the four pixels that one becomes, each written to its places; frames again afterwards."""
    weight, bias = upsample.conv.weight, upsample.conv.bias
    four = [
        (a, b, torch.einsum("oihw,ph,qw->oipq", weight.float(), _PARTS[a].to(bias).float(), _PARTS[b].to(bias).float()))
        for a in (0, 1)
        for b in (0, 1)
    ]
    weights = [(a, b, one.to(weight).contiguous(memory_format=torch.channels_last)) for a, b, one in four]

    def form(video: Tensor) -> Tensor:
        frames = _frames(video)
        count, _, height, width = frames.shape
        shape = (count, len(bias), 2 * height, 2 * width)
        large = torch.empty(shape, dtype=frames.dtype, device=frames.device, memory_format=torch.channels_last)
        for a, b, one in weights:
            found = functional.conv2d(frames, one, bias, padding=1)
            large[:, :, a::2, b::2] = found[:, :, a : a + height, b : b + width]
        return _video(large, upsample)

    return form


def late_norm(norm: Any) -> Form:
    """A spatial norm whose 1×1×1 convolutions see the small latent; what they give is repeated."""

    def form(video: Tensor, latent: Tensor) -> Tensor:
        size = video.shape[-3:]
        scale, shift = (_nearest(conv.conv(latent), size) for conv in (norm.conv_y, norm.conv_b))
        found: Tensor = norm.norm_layer(video) * scale + shift
        return found

    return form


def stacked(causal: Any) -> Form:
    """A causal 3×3×3 convolution as a 2-D one over three frames' channels."""
    weight, bias = causal.conv.weight, causal.conv.bias
    flat = weight.transpose(1, 2).flatten(1, 2).contiguous(memory_format=torch.channels_last)

    def form(video: Tensor, cache: Tensor) -> Tensor:
        frames = _frames(torch.cat([cache, video], dim=2))
        count = video.shape[2]
        by_three = torch.cat([frames[i : i + count] for i in range(3)], dim=1)
        return functional.conv2d(by_three, flat, bias, padding=1).transpose(0, 1).unsqueeze(0)

    return form


def _frames(video: Tensor) -> Tensor:
    """[1,C,T,H,W] → [T,C,H,W]; no copy where channels lie last."""
    return video.squeeze(0).transpose(0, 1)


def _video(frames: Tensor, upsample: Any) -> Tensor:
    """[T,C,H,W] → [1,C,T',H,W]: where time is upsampled each frame twice, but for the first of an odd number."""
    if upsample.compress_time and len(frames) > 1:
        times = torch.full((len(frames),), 2, device=frames.device)
        times[: len(frames) % 2] = 1
        total = 2 * len(frames) - len(frames) % 2
        frames = frames.repeat_interleave(times, dim=0, output_size=total)
    return frames.transpose(0, 1).unsqueeze(0)


def _nearest(small: Tensor, size: torch.Size) -> Tensor:
    if size[0] > 1 and size[0] % 2 == 1:
        first = functional.interpolate(small[:, :, :1], size=(1, *size[1:]))
        return torch.cat([first, functional.interpolate(small[:, :, 1:], size=(size[0] - 1, *size[1:]))], dim=2)
    return functional.interpolate(small, size=tuple(size))
