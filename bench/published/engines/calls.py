"""A stage as calls of graphs over buffers: what is bound to what, in which order. Plain data; nothing is allocated here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from videoscene_rt.bench.published.engines.item import Item
from videoscene_rt.engines.chunking import frame_chunks, latent_chunks
from videoscene_rt.engines.preset import TEMPORAL_COMPRESSION, Preset
from videoscene_rt.engines.slices import Index
from videoscene_rt.engines.specs import GraphSpec

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """A part of a buffer."""

    buffer: str
    index: Index = ()


@dataclass(frozen=True)
class Call:
    """One run of a graph: where each of its inputs and outputs lies."""

    graph: str
    places: Mapping[str, Place]


@dataclass(frozen=True)
class Calls:
    """A stage.

    Attributes:
        buffers: dtype and shape by name; zero at first.
        calls: in their order.
        inputs, outputs: buffers that are given, and that are compared, by the names that torch's half has for them.
        weights: of a shared block: buffer → (block, weight).
        first: how many calls give the first frames; None where all come at once.
        dropped: values at the front of each output that nobody wants.
    """

    buffers: dict[str, tuple[str, Shape]]
    calls: tuple[Call, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: dict[str, tuple[int, str]] = field(default_factory=dict)
    first: int | None = None
    dropped: int = 0


def calls_of(
    item: Item, preset: Preset, graphs: Mapping[str, GraphSpec], weights: Mapping[str, str] | None = None
) -> Calls:
    """The calls of a stage.

    Args:
        item: which. preset: its sizes. graphs: as its engines take and give.
        weights: of a shared block, which weight each of the inputs that are weights is.
    """
    if item.stage == "decode":
        return _decode(preset, graphs)
    if item.stage == "encode_coarse":
        return _encode(preset, graphs)
    if item.form == "stream":
        return _stream(preset, graphs["decode_stream"])
    if item.form == "shared-block":
        return _blocks(item.blocks or 0, graphs, weights or {})
    (spec,) = graphs.values()
    return _single(spec, _NAMES.get(item.stage, {}))


_NAMES = {
    "tiny_decode": {"latent": "z_0"},
    "tiny_encode_coarse": {"frames": "coarse", "latent": "z_r"},
    "encode_images": {"posterior_noise": "noise"},
}
"""Tensors of single graphs that are called otherwise outside."""


def _single(spec: GraphSpec, names: Mapping[str, str]) -> Calls:
    tensors = {tensor.name: names.get(tensor.name, tensor.name) for tensor in (*spec.inputs, *spec.outputs)}
    return Calls(
        buffers={tensors[one.name]: (one.dtype, one.shape) for one in (*spec.inputs, *spec.outputs)},
        calls=(Call(spec.name, {name: Place(buffer) for name, buffer in tensors.items()}),),
        inputs=tuple(tensors[one.name] for one in spec.inputs),
        outputs=tuple(tensors[one.name] for one in spec.outputs),
    )


def _decode(preset: Preset, graphs: Mapping[str, GraphSpec]) -> Calls:
    buffers: dict[str, tuple[str, Shape]] = {"z_0": ("float32", preset.latent_shape), "frames": _video(preset)}
    buffers |= _pairs(graphs["decode_next"], "cache_")
    spans = zip(frame_chunks(preset.frames), latent_chunks(preset.latent_frames), strict=True)
    calls = []
    for number, (frames, latents) in enumerate(spans):
        own = {"latent": Place("z_0", _along(1, latents)), "frames": Place("frames", _along(0, frames))}
        calls.append(_chunk("decode", number, own, graphs))
    return Calls(buffers, tuple(calls), ("z_0",), ("frames",), first=1)


def _encode(preset: Preset, graphs: Mapping[str, GraphSpec]) -> Calls:
    latent = ("float32", preset.latent_shape)
    buffers: dict[str, tuple[str, Shape]] = {"coarse": _video(preset), "noise": latent, "z_r": latent}
    buffers |= _pairs(graphs["encode_next"], "cache_")
    spans = zip(frame_chunks(preset.frames), latent_chunks(preset.latent_frames), strict=True)
    calls = []
    for number, (frames, latents) in enumerate(spans):
        own = {
            "frames": Place("coarse", _along(0, frames)),
            "posterior_noise": Place("noise", _along(1, latents)),
            "latent": Place("z_r", _along(1, latents)),
        }
        calls.append(_chunk("encode", number, own, graphs))
    return Calls(buffers, tuple(calls), ("coarse", "noise"), ("z_r",))


def _chunk(half: str, number: int, own: dict[str, Place], graphs: Mapping[str, GraphSpec]) -> Call:
    """A chunk reads the caches that the one before wrote, and writes the others."""
    graph = f"{half}_next" if number else f"{half}_first"
    places = dict(own)
    for tensor in (*graphs[graph].inputs, *graphs[graph].outputs):
        if tensor.name not in own:
            writes = tensor.name.startswith("next_")
            places[tensor.name] = Place(f"{tensor.name.removeprefix('next_')}.{(number + (not writes)) % 2}")
    return Call(graph, places)


def _stream(preset: Preset, spec: GraphSpec) -> Calls:
    steps, (_, height, width, _) = preset.latent_frames, _video(preset)[1]
    video = (TEMPORAL_COMPRESSION * steps, height, width, 3)
    buffers: dict[str, tuple[str, Shape]] = {"z_0": ("float32", preset.latent_shape), "frames": ("uint8", video)}
    buffers |= _pairs(spec, "memory_")
    calls = []
    for number in range(steps):
        own = {
            "latent": Place("z_0", _along(1, (number, number + 1))),
            "frames": Place("frames", _along(0, (TEMPORAL_COMPRESSION * number, TEMPORAL_COMPRESSION * (number + 1)))),
        }
        calls.append(_chunk("decode", number, own, {"decode_first": spec, "decode_next": spec}))
    zeros = {tensor.name: (tensor.dtype, tensor.shape) for tensor in spec.inputs if tensor.name != "latent"}
    buffers |= {f"{name}.zero": one for name, one in zeros.items()}
    calls = [Call("decode_stream", one.places) for one in calls]
    calls[0] = Call("decode_stream", {**calls[0].places, **{name: Place(f"{name}.zero") for name in zeros}})
    return Calls(buffers, tuple(calls), ("z_0",), ("frames",), first=1, dropped=TEMPORAL_COMPRESSION - 1)


def _blocks(blocks: int, graphs: Mapping[str, GraphSpec], weights: Mapping[str, str]) -> Calls:
    head, block, tail = graphs["student_head"], graphs["student_block"], graphs["student_tail"]
    given = {tensor.name: (tensor.dtype, tensor.shape) for tensor in (*head.inputs, *tail.inputs)}
    del given["hidden"]
    for name in ("hidden", "text"):
        tensor = head.output(name)
        given |= {f"{name}.0": (tensor.dtype, tensor.shape), f"{name}.1": (tensor.dtype, tensor.shape)}
    buffers: dict[str, tuple[str, Shape]] = {**given, "z_0": (tail.output("z_0").dtype, tail.output("z_0").shape)}
    owned: dict[str, tuple[int, str]] = {}
    calls = [Call("student_head", {**_plain(head), **_states(0, "")})]
    for number in range(blocks):
        places = {"emb": Place("emb"), **_states(number % 2, ""), **_states((number + 1) % 2, "next_")}
        for tensor in block.inputs:
            if tensor.name in weights:
                buffer = f"{tensor.name}@{number}"
                buffers[buffer] = (tensor.dtype, tensor.shape)
                owned[buffer] = (number, weights[tensor.name])
                places[tensor.name] = Place(buffer)
        calls.append(Call("student_block", places))
    calls.append(Call("student_tail", {**_plain(tail), "hidden": Place(f"hidden.{blocks % 2}")}))
    return Calls(buffers, tuple(calls), tuple(one.name for one in head.inputs), ("z_0",), weights=owned)


def _plain(spec: GraphSpec) -> dict[str, Place]:
    return {one.name: Place(one.name) for one in (*spec.inputs, *spec.outputs)}


def _states(which: int, prefix: str) -> dict[str, Place]:
    return {f"{prefix}{name}": Place(f"{name}.{which}") for name in ("hidden", "text")}


def _pairs(spec: GraphSpec, prefix: str) -> dict[str, tuple[str, Shape]]:
    """What goes from call to call, twice: one is read, the other written."""
    states = [tensor for tensor in spec.inputs if tensor.name.startswith(prefix)]
    return {f"{one.name}.{which}": (one.dtype, one.shape) for one in states for which in (0, 1)}


def _along(axis: int, span: tuple[int, int]) -> Index:
    return (*(slice(0, 1) for _ in range(axis)), slice(*span))


def _video(preset: Preset) -> tuple[str, Shape]:
    return "uint8", (preset.frames, preset.height, preset.width, 3)
