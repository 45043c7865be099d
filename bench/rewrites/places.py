"""Where the published decoder could be rewritten: its layers by diffusers with seeded weights, an input, and the forms to compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d, CogVideoXSpatialNorm3D
from diffusers.models.upsampling import CogVideoXUpsample3D
from torch import Tensor, nn

from videoscene_rt.bench.published.weights import Draw, lay_out, made
from videoscene_rt.bench.rewrites.forms import Form, late_norm, phases, repeated_late, stacked, transposed
from videoscene_rt.engines.preset import LATENT_CHANNELS

HEIGHT, WIDTH, _GROUPS = 60, 90, 32
"""Of the latent; and of each norm."""
_UPSAMPLERS = (("up_blocks.0", 512, 1, 1, True), ("up_blocks.1", 256, 2, 2, True), ("up_blocks.2", 256, 4, 4, False))
"""Channels, by how much it is larger than the latent in space and in time, and whether it upsamples in time."""
_NORMS = (("up_blocks.2 norm", 256, 4, 4), ("up_blocks.3 norm", 128, 8, 4))
_VOLUMES = (("up_blocks.2 3×3×3", 256, 4, 4), ("up_blocks.3 3×3×3", 128, 8, 4))


@dataclass(frozen=True)
class Place:
    """One layer.

    Attributes:
        name: where it is. inputs: what it reads.
        forms: "traced" is diffusers' layer; the others give the same.
    """

    name: str
    inputs: tuple[Tensor, ...]
    forms: Mapping[str, Form]


def places(
    dtype: torch.dtype, draw: Draw, narrower: int = 1, smaller: int = 1, latent_frames: int = 2
) -> Iterator[Place]:
    """One after the other, so that one's memory is free when the next is made.

    Args:
        dtype: of weights and inputs. draw: gives both.
        narrower, smaller: divide channels, and height and width of the latent, for a trial.
        latent_frames: of the chunk: 2, or 3 for a first one, whose first frame is not repeated.
    """

    def video(name: str, channels: int, space: int, time: int) -> Tensor:
        count = latent_frames * time - (time - 1) * (latent_frames % 2)
        shape = (1, channels, count, HEIGHT // smaller * space, WIDTH // smaller * space)
        return draw.normal(name, shape, dtype).contiguous(memory_format=torch.channels_last_3d)

    def layer(build: Callable[[], nn.Module]) -> Any:
        module = made(build, dtype, draw)
        lay_out(module)
        return module

    for name, full, space, time, in_time in _UPSAMPLERS:
        channels = full // narrower
        upsample = layer(lambda c=channels, t=in_time: CogVideoXUpsample3D(c, c, compress_time=t))  # type: ignore[misc]
        forms: dict[str, Form] = {"traced": upsample}
        if in_time:
            forms["repeated late"] = repeated_late(upsample)
        forms |= {"transposed": transposed(upsample), "phases": phases(upsample)}
        yield Place(f"{name} upsampler", (video(name, channels, space, time),), forms)
    for name, full, space, time in _NORMS:
        channels = full // narrower
        norm = layer(lambda c=channels: CogVideoXSpatialNorm3D(c, LATENT_CHANNELS, min(_GROUPS, c)))  # type: ignore[misc]
        inputs = (video(name, channels, space, time), video(f"{name} latent", LATENT_CHANNELS, 1, 1))
        yield Place(name, inputs, {"traced": _first_of(norm), "late": late_norm(norm)})
    for name, full, space, time in _VOLUMES:
        channels = full // narrower
        causal = layer(lambda c=channels: CogVideoXCausalConv3d(c, c, 3))  # type: ignore[misc]
        given = video(name, channels, space, time)
        inputs = (given, given[:, :, -2:].flip(2).contiguous(memory_format=torch.channels_last_3d))
        yield Place(name, inputs, {"traced": _first_of(causal), "stacked": stacked(causal)})


def _first_of(module: Any) -> Form:
    """A layer without the cache that it returns too."""

    def form(video: Tensor, other: Tensor) -> Tensor:
        found: Tensor = module(video, other)[0]
        return found

    return form
