"""Decoding chunk by chunk: the parts of a streamed step, and after which of them which frames are ready."""

from __future__ import annotations

from videoscene_rt.chain.autoencoder_plan import Stages, state_buffer, state_buffers
from videoscene_rt.chain.description import Buffer, Part, Slice, Stage, Way
from videoscene_rt.engines.chunking import frame_chunks
from videoscene_rt.engines.halves import Half
from videoscene_rt.engines.keep import keep_signature
from videoscene_rt.engines.manifest import Manifest
from videoscene_rt.engines.preset import TEMPORAL_COMPRESSION

_LEAD = "lead"
_VERB = "stream"


def stream_way(
    manifest: Manifest, decoder: Half, name: str, before: list[Stage], decode: list[Stage], watch: Stage
) -> tuple[Way, Stages]:
    """A streamed step: everything before the decoder, then a part a chunk; the watch runs beside the first chunk.

    The published decoder's chunks are the whole step's own stages. The tiny one decodes a latent frame a call; of its first call's
    four frames the last alone is the video's, so they are written beside it and that one is taken over.

    Args:
        manifest: the bundle's.
        decoder: which.
        name: of the way.
        before: the stages before the decoder, but for the watch.
        decode: the whole step's stages of this decoder.
        watch: the stage.

    Returns:
        The way, and the stages that the whole step does not have, with the buffers that they need.
    """
    preset = manifest.preset
    more: list[Stage] = []
    buffers: list[Buffer] = []
    if decoder == "full":
        chunks, spans = [[stage] for stage in decode], frame_chunks(preset.frames)
    else:
        chunks, buffers = _latent_by_latent(manifest)
        spans = [
            (max(0, stop - TEMPORAL_COMPRESSION), stop) for stop in range(1, preset.frames + 1, TEMPORAL_COMPRESSION)
        ]
        more = [stage for chunk in chunks for stage in chunk]
    parts = [Part(tuple(stage.name for stage in before))]
    for number, (chunk, span) in enumerate(zip(chunks, spans, strict=True)):
        beside = [watch.name] if number == 0 else []
        parts.append(Part((*(stage.name for stage in chunk), *beside), span))
    return Way(name, decoder, tuple(parts)), (more, buffers)


def _latent_by_latent(manifest: Manifest) -> tuple[list[list[Stage]], list[Buffer]]:
    preset, graph = manifest.preset, manifest.graphs["decode_stream"]
    states = [graph.input(name) for name in graph.state.values()]
    zeros = {spec.shape: f"{_VERB}_zero_{'x'.join(map(str, spec.shape))}" for spec in states}
    calls = []
    for call in range(preset.latent_frames):
        stop = TEMPORAL_COMPRESSION * call + 1
        target = Slice(_LEAD) if call == 0 else Slice("frames", 0, stop - TEMPORAL_COMPRESSION, stop)
        inputs = {"latent": Slice("z_0", 1, call, call + 1)}
        for spec in states:
            inputs[spec.name] = Slice(zeros[spec.shape] if call == 0 else state_buffer(_VERB, spec.name, call))
        outputs = {"frames": target}
        outputs |= {output: Slice(state_buffer(_VERB, name, call + 1)) for output, name in graph.state.items()}
        calls.append([Stage(f"decode_stream_{call}", graph.name, inputs, outputs)])
    kept = {"frame": Slice(_LEAD, 0, TEMPORAL_COMPRESSION - 1, TEMPORAL_COMPRESSION)}
    keep = keep_signature(preset.height, preset.width)
    calls[0].append(Stage("keep_first", keep.name, kept, {"kept": Slice("frames", 0, 0, 1)}))
    picture = (TEMPORAL_COMPRESSION, preset.height, preset.width, 3)
    # Nothing ever writes the zeros: memory of the chain is zero when it is allocated.
    buffers = [
        Buffer(_LEAD, "uint8", picture),
        *(Buffer(name, "float32", shape, "constant") for shape, name in zeros.items()),
        *state_buffers(_VERB, graph),
    ]
    return calls, buffers
