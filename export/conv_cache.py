"""The causal convolutions' cache of diffusers' CogVideoX autoencoder as a flat list of tensors.

diffusers hands it on as nested dictionaries: for each causal convolution the last two frames of its input. It also
returns entries for the 1×1×1 convolutions of the spatial norms (``conv_y``, ``conv_b``) that nothing ever reads; they
are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from videoscene_rt.engines.chunking import FIRST_FRAMES, FIRST_LATENT_FRAMES
from videoscene_rt.engines.preset import LATENT_CHANNELS, SPATIAL_COMPRESSION

CachePath = tuple[str, ...]
"""Keys into the nested cache, outermost first."""

_NEVER_READ = frozenset({"conv_y", "conv_b"})


def flatten(nested: Mapping[str, Any]) -> dict[CachePath, Tensor]:
    """The tensors of a nested cache that something reads, by path, in the order in which the model made them."""
    flat: dict[CachePath, Tensor] = {}
    for key, value in nested.items():
        if key in _NEVER_READ or value is None:
            continue
        if isinstance(value, Tensor):
            flat[(key,)] = value
        else:
            flat.update({(key, *path): tensor for path, tensor in flatten(value).items()})
    return flat


def unflatten(paths: Sequence[CachePath], tensors: Sequence[Tensor]) -> dict[str, Any]:
    """The nested cache with ``tensors`` at ``paths``; the inverse of ``flatten``.

    Raises:
        ValueError: there are more or fewer tensors than paths.
    """
    nested: dict[str, Any] = {}
    for path, tensor in zip(paths, tensors, strict=True):
        level = nested
        for key in path[:-1]:
            level = level.setdefault(key, {})
        level[path[-1]] = tensor
    return nested


def encoder_cache(encoder: nn.Module, height: int, width: int) -> dict[CachePath, tuple[int, ...]]:
    """Path and shape of every cache tensor of an encoder for H×W pixels. ``encoder`` must be on the meta device."""
    return _shapes(encoder, (1, 3, FIRST_FRAMES, height, width))


def decoder_cache(decoder: nn.Module, height: int, width: int) -> dict[CachePath, tuple[int, ...]]:
    """Path and shape of every cache tensor of a decoder for H×W pixels. ``decoder`` must be on the meta device."""
    latent = (height // SPATIAL_COMPRESSION, width // SPATIAL_COMPRESSION)
    return _shapes(decoder, (1, LATENT_CHANNELS, FIRST_LATENT_FRAMES, *latent))


def _shapes(model: nn.Module, shape: tuple[int, ...]) -> dict[CachePath, tuple[int, ...]]:
    # Run, not derived: the model itself says which tensors there are. The meta device computes shapes alone.
    with torch.no_grad():
        _, nested = model(torch.empty(shape, device="meta"))
    return {path: tuple(tensor.shape) for path, tensor in flatten(nested).items()}
