"""TAEHV's published forward pass, one frame and one layer at a time in float64, straight from a state dict.

Independent of the module under test: no shared code, upsampling before the growing convolution as published, memory as
a Python loop over frames.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import conv2d

State = Mapping[str, Tensor]


def reference_encode(state: State, frames: Tensor) -> Tensor:
    """Frames [4T,3,H,W] in [0, 1] → latents [T,16,h,w]."""
    x = [_conv(state, "encoder.0", frame).relu() for frame in _split(frames)]
    for first, merged in ((2, 2), (7, 2), (12, 1)):
        groups = [x[start : start + merged] for start in range(0, len(x), merged)]
        x = [_conv(state, f"encoder.{first}.conv", torch.cat(group, dim=1)) for group in groups]
        x = [_conv(state, f"encoder.{first + 1}", frame, stride=2) for frame in x]
        for block in range(first + 2, first + 5):
            x = _memory_block(state, f"encoder.{block}", x)
    return torch.cat([_conv(state, "encoder.17", frame) for frame in x])


def reference_decode(state: State, latents: Tensor) -> Tensor:
    """Latents [T,16,h,w] → frames [4T,3,H,W], nominally in [0, 1], the first three included."""
    x = [_conv(state, "decoder.1", 3 * torch.tanh(frame / 3)).relu() for frame in _split(latents)]
    for first, split in ((3, 1), (9, 2), (15, 2)):
        for block in range(first, first + 3):
            x = _memory_block(state, f"decoder.{block}", x)
        x = [frame.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) for frame in x]
        x = [part for frame in x for part in _conv(state, f"decoder.{first + 4}.conv", frame).chunk(split, dim=1)]
        x = [_conv(state, f"decoder.{first + 5}", frame) for frame in x]
    return torch.cat([_conv(state, "decoder.22", frame.relu()) for frame in x])


def _memory_block(state: State, name: str, frames: list[Tensor]) -> list[Tensor]:
    out, past = [], torch.zeros_like(frames[0])
    for frame in frames:
        y = _conv(state, f"{name}.conv.0", torch.cat([frame, past], dim=1)).relu()
        y = _conv(state, f"{name}.conv.4", _conv(state, f"{name}.conv.2", y).relu())
        out.append((y + frame).relu())
        past = frame
    return out


def _conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight, bias = state[f"{name}.weight"].double(), state.get(f"{name}.bias")
    return conv2d(x, weight, None if bias is None else bias.double(), stride, padding=weight.shape[-1] // 2)


def _split(video: Tensor) -> list[Tensor]:
    return list(video.double().split(1))
