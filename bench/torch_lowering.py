"""A graph's torch module in half precision, with the contract's dtypes at its border.

Weights are cast once, as a user of PyTorch would do it; autocast would cast them anew in every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.student import Student
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder


class Cast(nn.Module):
    """A module that computes in ``dtype`` between float32 neighbours; integers and bytes pass as they are."""

    def __init__(self, inner: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner = inner.to(dtype)
        self.dtype = dtype

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The inner module's, floats cast on the way in and back to float32 on the way out, in tuples, lists and dicts too."""
        return _cast(self.inner(*_cast(args, self.dtype), **_cast(kwargs, self.dtype)), torch.float32)


class CastAutoencoder(nn.Module):
    """The tiny autoencoder's `encode`, `encode_clips` and `decode`, computed in ``dtype`` between float32 neighbours."""

    def __init__(self, inner: TinyAutoencoder, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner = inner.to(dtype)
        self.dtype = dtype

    def encode(self, frames: Tensor, memory: Sequence[Tensor] | None = None) -> Any:
        """See `TinyAutoencoder.encode`."""
        return _cast(self.inner.encode(_cast(frames, self.dtype), _cast(memory, self.dtype)), torch.float32)

    def encode_clips(self, clips: Tensor) -> Any:
        """See `TinyAutoencoder.encode_clips`."""
        return _cast(self.inner.encode_clips(_cast(clips, self.dtype)), torch.float32)

    def decode(self, latents: Tensor, memory: Sequence[Tensor] | None = None) -> Any:
        """See `TinyAutoencoder.decode`."""
        return _cast(self.inner.decode(_cast(latents, self.dtype), _cast(memory, self.dtype)), torch.float32)


def lowered(source: GraphSource, dtype: torch.dtype) -> nn.Module:
    """The module of a graph with its networks in ``dtype``; changes the models in place.

    Noising, x_0, pixel conversion and the whole renderer stay in float32, as they do in an engine. Modules that share a network
    (the autoencoder's five) may be lowered one after the other.
    """
    module = source.module
    if dtype == torch.float32 or source.name == "renderer":
        return module
    if source.name == "policy":
        return Cast(module, dtype)
    if isinstance(module, Student):
        if not isinstance(module.transformer, Cast):
            module.transformer = Cast(module.transformer, dtype)
        return module
    for name, wrap in (("autoencoder", CastAutoencoder), ("model", Cast)):
        inner = getattr(module, name, None)
        if inner is not None and not isinstance(inner, (Cast, CastAutoencoder)):
            setattr(module, name, wrap(inner, dtype))
    return module


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, (tuple, list)):
        return type(value)(_cast(item, dtype) for item in value)
    if isinstance(value, dict):
        return {key: _cast(item, dtype) for key, item in value.items()}
    return value
