"""The graphs of an item: shapes on the meta device, numbers from the seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from videoscene_rt.bench.published.autoencoder import published_sizes
from videoscene_rt.bench.published.engines.drawn import DrawnNumbers
from videoscene_rt.bench.published.engines.item import Item
from videoscene_rt.bench.published.engines.pieces import piece_sources
from videoscene_rt.bench.published.student import with_blocks
from videoscene_rt.bench.published.tiny import tiny_sizes
from videoscene_rt.bench.published.weights import Draw
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.autoencoder_graphs import autoencoder_graphs
from videoscene_rt.export.cogvideox_autoencoder import build_cogvideox_autoencoder
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.graphs import chain_graphs
from videoscene_rt.export.models import Models
from videoscene_rt.export.policy import ConstantPolicy, DDPNet
from videoscene_rt.export.student import Student, build_transformer
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder

HALF = torch.float16
_GRAPHS = {
    "policy": ("policy",),
    "encode_coarse": ("encode_first", "encode_next"),
    "encode_images": ("encode_images",),
    "decode": ("decode_first", "decode_next"),
    "tiny_encode_coarse": ("encode_clip",),
    "tiny_encode_images": ("encode_images",),
    "tiny_decode": ("decode_clip",),
}


@dataclass(frozen=True)
class ItemSources:
    """What is traced.

    Attributes:
        graphs: by name.
        numbers: of the tensors of all of them.
        blocks: of a shared block, the first block's parameters by their names in the transformer; else empty.
    """

    graphs: dict[str, GraphSource]
    numbers: DrawnNumbers
    blocks: dict[str, Tensor]


def item_sources(item: Item, preset: Preset, draw: Draw) -> ItemSources:
    """An item's graphs.

    Raises:
        InputError: the preset has no such stage.
    """
    if item.stage == "student":
        return _student(item, preset, draw)
    wanted = ("decode_stream",) if item.form == "stream" else _GRAPHS[item.stage]
    nothing: nn.Module = nn.Identity()
    if item.stage == "policy":
        policy = _shell(lambda: DDPNet(preset))
        numbers = DrawnNumbers((policy,), draw, HALF)
        small = with_blocks(preset, 1)
        transformer = _shell(lambda: build_transformer(small))
        models = Models(transformer, nothing, policy, torch.zeros(1), {}, numbers=numbers)
        found = [replace(one, numbers=numbers) for one in chain_graphs(models, small)]
    else:
        tiny = item.stage.startswith("tiny")
        sizes = tiny_sizes(preset)
        autoencoder = _shell(lambda: TinyAutoencoder(sizes) if tiny else _published(preset))
        numbers = DrawnNumbers((autoencoder,), draw, HALF)
        models = Models(nothing, autoencoder, _constant(preset), torch.zeros(1), {}, numbers=numbers)
        sized = preset.model_copy(update={"autoencoder": sizes, "tiny_autoencoder": None}) if tiny else preset
        found = autoencoder_graphs(models, sized)
    return ItemSources({one.name: one for one in found if one.name in wanted}, numbers, {})


def _student(item: Item, preset: Preset, draw: Draw) -> ItemSources:
    shared = item.form == "shared-block"
    built = with_blocks(preset, 1 if shared else item.blocks)
    transformer = _shell(lambda: build_transformer(built))
    numbers = DrawnNumbers((transformer,), draw, HALF)
    models = Models(transformer, nn.Identity(), _constant(preset), torch.zeros(1), {}, numbers=numbers)
    whole = next(one for one in chain_graphs(models, built) if one.name == "student")
    if not shared:
        return ItemSources({"student": whole}, numbers, {})
    student = whole.module
    assert isinstance(student, Student)
    prefix = "transformer_blocks.0."
    block = {name: tensor for name, tensor in transformer.named_parameters() if name.startswith(prefix)}
    return ItemSources(piece_sources(student, whole, built, numbers), numbers, block)


def _published(preset: Preset) -> Any:
    return build_cogvideox_autoencoder(published_sizes(preset), preset.height, preset.width)


def _constant(preset: Preset) -> ConstantPolicy:
    return ConstantPolicy(preset.policy.timesteps, preset.policy.timesteps[0])


def _shell(build: Callable[[], Any]) -> Any:
    with torch.device("meta"):
        return build().requires_grad_(False).eval()
