"""Both autoencoders' graphs to trace, under the contracts of docs/architecture.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from videoscene_rt.engines.chunking import FIRST_FRAMES, FIRST_LATENT_FRAMES, NEXT_FRAMES, NEXT_LATENT_FRAMES
from videoscene_rt.engines.halves import KIND, decoder_graphs, encoder_graphs, images_graph
from videoscene_rt.engines.preset import LATENT_CHANNELS, TEMPORAL_COMPRESSION, CogVideoXAutoencoderSizes, Preset
from videoscene_rt.engines.specs import TensorSpec
from videoscene_rt.export.cogvideox_autoencoder import cogvideox_cache_layouts
from videoscene_rt.export.cogvideox_autoencoder_graphs import cogvideox_autoencoder_graphs
from videoscene_rt.export.graph_source import GraphSource, random_inputs
from videoscene_rt.export.kept import Kept
from videoscene_rt.export.models import Models
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder, decoder_memory_shapes, encoder_memory_shapes
from videoscene_rt.export.tiny_autoencoder_graphs import tiny_autoencoder_graphs

Shapes = Mapping[str, tuple[int, ...]]
Specs = tuple[TensorSpec, ...]


def autoencoder_graphs(models: Models, preset: Preset, kept: Kept | None = None) -> list[GraphSource]:
    """The graphs of the halves that are kept; without being told which, all five of the preset's own autoencoder."""
    own, kept = KIND[preset.autoencoder.kind], kept or Kept.own(preset)
    graphs = {own: _tiny(models.autoencoder, preset) if own == "tiny" else _cogvideox(models, preset)}
    if models.tiny is not None:
        graphs["tiny"] = [_beside(graph) for graph in _tiny(models.tiny, preset)]
    wanted = {name for half in kept.encoders for name in encoder_graphs(own, half)}
    wanted |= {name for half in kept.decoders for name in decoder_graphs(half)}
    found = [graph for half in graphs.values() for graph in half if graph.name in wanted]
    return [replace(graph, numbers=models.numbers) for graph in found]


def _beside(graph: GraphSource) -> GraphSource:
    """A graph of the tiny autoencoder beside a published one: its weights have a file of their own."""
    name = images_graph("full", "tiny") if graph.name == images_graph("tiny", "tiny") else graph.name
    return replace(graph, name=name, weights="tiny_autoencoder")


def _tiny(autoencoder: TinyAutoencoder, preset: Preset) -> list[GraphSource]:
    modules, sizes = tiny_autoencoder_graphs(autoencoder), autoencoder.sizes
    encoder = encoder_memory_shapes(sizes, preset.height, preset.width)
    decoder = decoder_memory_shapes(sizes, preset.height, preset.width)
    clip, latent = _frames(preset, preset.frames), _latent(preset, preset.latent_frames)
    group, one = _frames(preset, TEMPORAL_COMPRESSION), _latent(preset, 1)
    return [
        _graph("encode_images", modules, _images(preset), _ends(preset)),
        _graph("encode_clip", modules, (clip,), (latent,)),
        _graph("encode_stream", modules, (group,), (one,), reads=encoder, writes=encoder),
        _graph("decode_clip", modules, (latent,), (clip,)),
        _graph("decode_stream", modules, (one,), (group,), reads=decoder, writes=decoder),
    ]


def _cogvideox(models: Models, preset: Preset) -> list[GraphSource]:
    assert isinstance(preset.autoencoder, CogVideoXAutoencoderSizes)
    encoder, decoder = cogvideox_cache_layouts(preset.autoencoder, preset.height, preset.width)
    modules = cogvideox_autoencoder_graphs(models.autoencoder, encoder, decoder)
    first, following = _frames(preset, FIRST_FRAMES), _frames(preset, NEXT_FRAMES)
    latent_first, latent_next = _latent(preset, FIRST_LATENT_FRAMES), _latent(preset, NEXT_LATENT_FRAMES)
    each = _posterior(_latent(preset, 1), clips=2)
    enc, dec = encoder.shapes, decoder.shapes
    return [
        _graph("encode_images", modules, (*_images(preset), each), _ends(preset)),
        _graph("encode_first", modules, (first, _posterior(latent_first)), (latent_first,), writes=enc),
        _graph("encode_next", modules, (following, _posterior(latent_next)), (latent_next,), reads=enc, writes=enc),
        _graph("decode_first", modules, (latent_first,), (first,), writes=dec),
        _graph("decode_next", modules, (latent_next,), (following,), reads=dec, writes=dec),
    ]


def _graph(
    name: str,
    modules: Mapping[str, nn.Module],
    inputs: Specs,
    outputs: Specs,
    reads: Shapes | None = None,
    writes: Shapes | None = None,
) -> GraphSource:
    """A graph that carries ``reads`` from the call before and ``writes`` for the next one."""
    taken = _state(reads or {}, "", "state from the call before")
    given = _state(writes or {}, "next_", "state for the next call")
    every = (*inputs, *taken)
    return GraphSource(
        name=name,
        module=modules[name],
        inputs=every,
        outputs=(*outputs, *given),
        weights="autoencoder",
        example=lambda rng: random_inputs(every, rng),
        state={f"next_{name}": name for name in (reads or {})},
    )


def _state(shapes: Shapes, prefix: str, meaning: str) -> Specs:
    return tuple(
        TensorSpec(name=prefix + name, dtype="float32", shape=shape, meaning=meaning) for name, shape in shapes.items()
    )


def _frames(preset: Preset, count: int) -> TensorSpec:
    return TensorSpec(name="frames", dtype="uint8", shape=(count, preset.height, preset.width, 3), meaning="video, RGB")


def _latent(preset: Preset, count: int) -> TensorSpec:
    shape = (1, count, LATENT_CHANNELS, *preset.latent_shape[3:])
    return TensorSpec(name="latent", dtype="float32", shape=shape, meaning="latent in the student's scale")


def _posterior(latent: TensorSpec, clips: int = 1) -> TensorSpec:
    meaning = "standard normal; 0 for the posterior's mean"
    return TensorSpec(name="posterior_noise", dtype="float32", shape=(clips, *latent.shape[1:]), meaning=meaning)


def _images(preset: Preset) -> Specs:
    height, width = preset.height, preset.width
    return (
        TensorSpec(name="images", dtype="uint8", shape=(2, height, width, 3), meaning="first and last image, RGB"),
        TensorSpec(name="sigma", dtype="float32", shape=(1,), meaning="σ of the images' noise; 0 for none"),
        TensorSpec(name="eta", dtype="float32", shape=(2, 3, height, width), meaning="η, standard normal"),
    )


def _ends(preset: Preset) -> Specs:
    """What `encode_images` gives: the condition's two ends, which are not neighbours in its buffer."""
    shape = _latent(preset, 1).shape
    return tuple(
        TensorSpec(name=name, dtype="float32", shape=shape, meaning=f"latent of the {name} image")
        for name in ("first", "last")
    )
