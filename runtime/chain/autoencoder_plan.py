"""Encoding and decoding as stages: one call of the tiny autoencoder, or the published one's chunks with their caches."""

from __future__ import annotations

from videoscene_rt.chain.description import Buffer, Slice, Stage
from videoscene_rt.engines.chunking import frame_chunks, latent_chunks
from videoscene_rt.engines.halves import Half, images_graph
from videoscene_rt.engines.manifest import Manifest
from videoscene_rt.engines.specs import GraphSpec

Stages = tuple[list[Stage], list[Buffer]]


def encode_stages(manifest: Manifest, encoder: Half) -> Stages:
    """Coarse frames → z_r, and the two images → the first and last latent frame of the condition; with the buffers they need."""
    images = _images(manifest, images_graph(manifest.own, encoder))
    if encoder == "tiny":
        return [Stage("encode", "encode_clip", {"frames": Slice("coarse")}, {"latent": Slice("z_r")}), images], []
    stages, buffers = _chunks(manifest, "encode", Slice("coarse"), Slice("z_r", axis=1))
    return [*stages, images], buffers


def decode_stages(manifest: Manifest, decoder: Half) -> Stages:
    """z_0 → refined frames; with the buffers it needs."""
    if decoder == "tiny":
        return [Stage("decode", "decode_clip", {"latent": Slice("z_0")}, {"frames": Slice("frames")})], []
    return _chunks(manifest, "decode", Slice("z_0", axis=1), Slice("frames"))


def _images(manifest: Manifest, graph: str) -> Stage:
    """Both images in one call: half the kernels of two calls, and each of them has twice as much to do."""
    last = manifest.preset.latent_frames - 1
    spec = manifest.graphs.get(graph)  # where there is none, the check of the plan says so
    has_posterior = spec is not None and any(tensor.name == "posterior_noise" for tensor in spec.inputs)
    inputs = {name: Slice(name) for name in ("images", "sigma", "eta")}
    if has_posterior:
        inputs["posterior_noise"] = Slice("posterior_images")
    ends = {name: Slice("condition", 1, frame, frame + 1) for name, frame in (("first", 0), ("last", last))}
    return Stage("encode_images", graph, inputs, ends)


def _chunks(manifest: Manifest, verb: str, source: Slice, target: Slice) -> Stages:
    """``verb``_first, then ``verb``_next for each further chunk; the caches go back and forth between two sets of buffers."""
    preset = manifest.preset
    spans = {"frames": frame_chunks(preset.frames), "latent": latent_chunks(preset.latent_frames)}
    reads, writes = ("frames", "latent") if verb == "encode" else ("latent", "frames")
    following = manifest.graphs[f"{verb}_next"]
    stages = []
    for number, (taken, given) in enumerate(zip(spans[reads], spans[writes], strict=True)):
        graph = manifest.graphs[f"{verb}_first"] if number == 0 else following
        inputs = {reads: Slice(source.buffer, source.axis, *taken)}
        if verb == "encode":
            inputs["posterior_noise"] = Slice("posterior_video", 1, *given)
        if number > 0:
            inputs |= {cache: Slice(state_buffer(verb, cache, number)) for cache in graph.state.values()}
        outputs = {writes: Slice(target.buffer, target.axis, *given)}
        outputs |= {output: Slice(state_buffer(verb, cache, number + 1)) for output, cache in following.state.items()}
        stages.append(Stage(f"{verb}_{number}", graph.name, inputs, outputs))
    return stages, state_buffers(verb, following)


def state_buffer(verb: str, name: str, call: int) -> str:
    """The buffer from which a call takes its state; the call before has written it."""
    return f"{verb}_{name}_{call % 2}"


def state_buffers(verb: str, graph: GraphSpec) -> list[Buffer]:
    """Two sets of buffers for what a graph hands on from call to call: one is read while the other is written."""
    specs = [graph.input(name) for name in graph.state.values()]
    return [
        Buffer(state_buffer(verb, spec.name, side), spec.dtype, spec.shape, "cache")
        for spec in specs
        for side in (0, 1)
    ]
