"""The autoencoder before its first step: a codec of mean colours, in which the rest of the network is still silent.

Three channels carry red, green and blue from end to end: the encoder averages them over 8 × 8 pixels and 4 frames, three of the latents are
their brightness and two differences, the decoder repeats them. What is trained is then what averages lack. Without it brightness is learnt
first and hues late: a network that was trained for two minutes gave green walls back as brown ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from videoscene_rt.export.distill.autoencoding import encode
from videoscene_rt.export.seeding import seed_weights
from videoscene_rt.export.tiny_autoencoder import MemoryBlock, TemporalGrow, TemporalPool, TinyAutoencoder

COLOURS = 3
_TO_LATENT = ((1 / 3, 1 / 3, 1 / 3), (1.0, -1.0, 0.0), (0.5, 0.5, -1.0))
"""Brightness, red against green, yellow against blue."""
_QUIET = 0.1


@torch.no_grad()
def begin(autoencoder: TinyAutoencoder, seed: int) -> None:
    """Weights from the seed with He's factor for ReLU, residual blocks that are almost nothing, and the colours' way through."""
    seed_weights(autoencoder, seed, "autoencoder.")
    for name, parameter in autoencoder.named_parameters():
        if parameter.ndim > 1:
            parameter.mul_(math.sqrt(2.0) if ".conv." in name else 1.0)
        else:
            parameter.zero_()
    for half in (autoencoder.encoder, autoencoder.decoder):
        for layer in half:
            _let_through(layer)
    last = _convolution(autoencoder.decoder[-1])
    last.weight.mul_(_QUIET)
    _only(last, torch.eye(COLOURS))
    _only(_convolution(autoencoder.encoder[-1]), torch.tensor(_TO_LATENT))


@torch.no_grad()
def begin_at_unit(autoencoder: TinyAutoencoder, clips: Tensor) -> None:
    """Scale and shift the encoder's last layer so that every latent channel of clips float32[B,F,3,H,W] has mean 0 and deviation 1,
    and let the decoder take the colours from there."""
    latents = encode(autoencoder, clips)
    mean, deviation = latents.mean((0, 1, 3, 4)), latents.std((0, 1, 3, 4)).clamp_min(1e-6)
    last = _convolution(autoencoder.encoder[-1])
    assert last.bias is not None
    last.weight.div_(deviation[:, None, None, None])
    last.bias.copy_((last.bias - mean) / deviation)
    back = torch.linalg.inv(torch.tensor(_TO_LATENT, device=clips.device))
    first = _convolution(autoencoder.decoder[1])
    assert first.bias is not None
    _only(first, back * deviation[:COLOURS])
    first.bias[:COLOURS] = back @ (mean[:COLOURS])


def _let_through(layer: nn.Module) -> None:
    """Make a layer pass the colours on: averaged where it makes smaller, repeated where it makes larger."""
    if isinstance(layer, MemoryBlock):
        block = _convolution(layer.conv[-1])
        block.weight.mul_(_QUIET)
        block.weight[:COLOURS] = 0.0
    elif isinstance(layer, TemporalPool):
        width = layer.conv.out_channels
        layer.conv.weight[:COLOURS] = 0.0
        for frame in range(layer.stride):
            for colour in range(COLOURS):
                layer.conv.weight[colour, frame * width + colour] = 1.0 / layer.stride
    elif isinstance(layer, TemporalGrow):
        width = layer.conv.in_channels
        for frame in range(layer.stride):
            rows = layer.conv.weight[frame * width : frame * width + COLOURS]
            rows.zero_()
            rows[:, :COLOURS, 0, 0] = torch.eye(COLOURS, device=rows.device)
    elif isinstance(layer, nn.Conv2d):
        _only(layer, torch.eye(COLOURS))


def _only(layer: nn.Conv2d, mix: Tensor) -> None:
    """Let a convolution's first channels be this mix of its input's first channels, float32[3,3], and of nothing else."""
    layer.weight[:COLOURS] = 0.0
    mix = mix.to(layer.weight)
    if layer.stride == (2, 2):  # rows 2y − 1 … 2y + 1: the block of two by two is the last two
        layer.weight[:COLOURS, :COLOURS, 1:, 1:] = mix[:, :, None, None] / 4
    else:
        layer.weight[:COLOURS, :COLOURS, 1, 1] = mix
    if layer.bias is not None:
        layer.bias[:COLOURS] = 0.0


def _convolution(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d)
    return layer
