"""The plan of one step: which buffers there are and which graph reads and writes which of them. Data, derived from the manifest."""

from __future__ import annotations

from videoscene_rt.chain.autoencoder_plan import decode_stages, encode_stages
from videoscene_rt.chain.description import STATUS, Buffer, ChainPlan, Part, Slice, Stage, Way, check_plan
from videoscene_rt.chain.stream_plan import stream_way
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.halves import Half
from videoscene_rt.engines.keep import keep_signature
from videoscene_rt.engines.kernels.watch import watch_signature
from videoscene_rt.engines.manifest import Manifest
from videoscene_rt.engines.preset import LATENT_CHANNELS, Preset


def plan_chain(
    manifest: Manifest,
    timestep: int | None = None,
    *,
    encoder: Half | None = None,
    decoders: tuple[Half, ...] = (),
    streaming: bool = False,
) -> ChainPlan:
    """The chain of one step.

    Args:
        manifest: the bundle's.
        timestep: t in 0…999 to use always, written into its buffer at load; None lets the policy choose in every step.
        encoder: one of the bundle's; None takes its first.
        decoders: some of the bundle's: the first is the step's own, and the others are other ways; () takes the bundle's first.
        streaming: there is a way for each decoder that gives its frames chunk by chunk.

    Raises:
        InputError: the bundle has no such encoder or decoder, or its graphs do not fit together.
    """
    preset = manifest.preset
    encoder = _one_of("encoder", manifest.encoders, encoder)
    chosen = tuple(_one_of("decoder", manifest.decoders, name) for name in decoders or manifest.decoders[:1])
    encode, buffers = encode_stages(manifest, encoder)
    before = [_render(), *encode, *([_policy()] if timestep is None else []), _student()]
    watch, every = _watch(), (0, preset.frames)
    ways: list[Way] = []
    decode: dict[Half, list[Stage]] = {}
    more: list[Stage] = []
    for number, decoder in enumerate(chosen):
        decode[decoder], needed = decode_stages(manifest, decoder)
        buffers += needed
        if number > 0:
            stages = (*before, *decode[decoder], watch)
            ways.append(Way(step_way(decoder), decoder, (Part(tuple(stage.name for stage in stages), every),)))
            more += decode[decoder]
    for decoder in chosen if streaming else ():
        way, (stages_of_it, needed) = stream_way(
            manifest, decoder, stream_way_name(decoder), before, decode[decoder], watch
        )
        ways.append(way)
        more += stages_of_it
        buffers += needed
    plan = ChainPlan(
        buffers=(
            *_input_buffers(preset),
            *_constant_buffers(preset),
            *_inner_buffers(manifest),
            *buffers,
            *_result_buffers(preset),
        ),
        stages=(*before, *decode[chosen[0]], watch),
        ways=tuple(ways),
        more=tuple(more),
        decoders=chosen,
    )
    own = (watch_signature(preset.latent_shape), keep_signature(preset.height, preset.width))
    check_plan(plan, {**manifest.graphs, **{signature.name: signature for signature in own}})
    return plan


def step_way(decoder: Half) -> str:
    """The name of the way of a whole step with a decoder that is not the chain's first."""
    return f"step.{decoder}"


def stream_way_name(decoder: Half) -> str:
    """The name of the way of a streamed step."""
    return f"stream.{decoder}"


def _one_of(what: str, known: tuple[Half, ...], name: Half | None) -> Half:
    if name is None:
        return known[0]
    if name not in known:
        raise InputError(
            f"the bundle has no {what} {name!r}; it has {', '.join(known)}",
            f"choose one that it has; vsrt export --{what} says which a bundle keeps",
        )
    return name


def _input_buffers(preset: Preset) -> tuple[Buffer, ...]:
    points = preset.max_points
    return (
        Buffer("images", "uint8", (2, preset.height, preset.width, 3), "input"),
        Buffer("xyz", "float32", (points, 3), "input"),
        Buffer("rgb", "uint8", (points, 3), "input"),
        Buffer("num_points", "int32", (1,), "input"),
        Buffer("world_to_camera", "float32", (preset.frames, 4, 4), "input"),
        Buffer("intrinsics", "float32", (preset.frames, 3, 3), "input"),
    )


def _constant_buffers(preset: Preset) -> tuple[Buffer, ...]:
    student = preset.student
    return (
        Buffer("prompt", "float32", (1, student.text_tokens, student.text_width), "constant"),
        Buffer("sigma", "float32", (1,), "constant"),
        Buffer("eta", "float32", (2, 3, preset.height, preset.width), "constant"),
        Buffer("posterior_video", "float32", preset.latent_shape, "constant"),
        Buffer("posterior_images", "float32", (2, 1, LATENT_CHANNELS, *preset.latent_shape[3:]), "constant"),
        Buffer("noise", "float32", preset.latent_shape, "constant"),
    )


def _inner_buffers(manifest: Manifest) -> tuple[Buffer, ...]:
    preset = manifest.preset
    return (
        Buffer("z_r", "float32", preset.latent_shape),
        Buffer("condition", "float32", preset.latent_shape),
        Buffer("timestep", "int32", (1,)),
        Buffer("logits", "float32", (1, len(manifest.policy.timesteps))),
        Buffer("z_0", "float32", preset.latent_shape),
    )


def _result_buffers(preset: Preset) -> tuple[Buffer, ...]:
    video = (preset.frames, preset.height, preset.width)
    return (
        Buffer("coarse", "uint8", (*video, 3), "result"),
        Buffer("depth", "float32", video, "result"),
        Buffer("hole_mask", "uint8", video, "result"),
        Buffer("frames", "uint8", (*video, 3), "result"),
        Buffer(STATUS, "int32", (2,), "result"),
    )


def _render() -> Stage:
    inputs = ("xyz", "rgb", "num_points", "world_to_camera", "intrinsics")
    return Stage(
        "render",
        "renderer",
        inputs={name: Slice(name) for name in inputs},
        outputs={"frames": Slice("coarse"), "depth": Slice("depth"), "hole_mask": Slice("hole_mask")},
    )


def _policy() -> Stage:
    return Stage(
        "policy",
        "policy",
        inputs={"z_r": Slice("z_r")},
        outputs={"timestep": Slice("timestep"), "logits": Slice("logits")},
    )


def _student() -> Stage:
    inputs = ("z_r", "condition", "noise", "prompt", "timestep")
    return Stage("student", "student", inputs={name: Slice(name) for name in inputs}, outputs={"z_0": Slice("z_0")})


def _watch() -> Stage:
    inputs = {name: Slice(name) for name in ("z_0", "timestep")}
    return Stage("watch", "watch", inputs=inputs, outputs={STATUS: Slice(STATUS)})
