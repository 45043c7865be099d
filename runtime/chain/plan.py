"""The plan of one step: which buffers there are and which graph reads and writes which of them. Data, derived from the manifest."""

from __future__ import annotations

from videoscene_rt.chain.autoencoder_plan import decode_stages, encode_stages
from videoscene_rt.chain.description import Buffer, ChainPlan, Slice, Stage, check_plan
from videoscene_rt.engines.manifest import Manifest
from videoscene_rt.engines.preset import LATENT_CHANNELS, Preset


def plan_chain(manifest: Manifest, timestep: int | None = None) -> ChainPlan:
    """The chain of one step.

    Args:
        manifest: the bundle's.
        timestep: t in 0…999 to use always, written into its buffer at load; None lets the policy choose in every step.
    """
    preset = manifest.preset
    encode, encode_buffers = encode_stages(manifest)
    decode, decode_buffers = decode_stages(manifest)
    stages = [_render(), *encode]
    if timestep is None:
        stages.append(_policy())
    stages += [_student(), *decode]
    plan = ChainPlan(
        buffers=(*_input_buffers(preset), *_inner_buffers(manifest), *encode_buffers, *decode_buffers),
        stages=tuple(stages),
    )
    check_plan(plan, manifest)
    return plan


def _input_buffers(preset: Preset) -> tuple[Buffer, ...]:
    image = (preset.height, preset.width)
    student = preset.student
    points = preset.max_points
    return (
        Buffer("images", "uint8", (2, *image, 3)),
        Buffer("xyz", "float32", (points, 3)),
        Buffer("rgb", "uint8", (points, 3)),
        Buffer("num_points", "int32", (1,)),
        Buffer("world_to_camera", "float32", (preset.frames, 4, 4)),
        Buffer("intrinsics", "float32", (preset.frames, 3, 3)),
        Buffer("prompt", "float32", (1, student.text_tokens, student.text_width)),
        Buffer("sigma", "float32", (1,)),
        Buffer("eta", "float32", (2, 3, *image)),
        Buffer("posterior_video", "float32", preset.latent_shape),
        Buffer("posterior_images", "float32", (2, 1, LATENT_CHANNELS, *preset.latent_shape[3:])),
        Buffer("noise", "float32", preset.latent_shape),
    )


def _inner_buffers(manifest: Manifest) -> tuple[Buffer, ...]:
    preset = manifest.preset
    video = (preset.frames, preset.height, preset.width)
    return (
        Buffer("coarse", "uint8", (*video, 3)),
        Buffer("depth", "float32", video),
        Buffer("hole_mask", "uint8", video),
        Buffer("z_r", "float32", preset.latent_shape),
        Buffer("condition", "float32", preset.latent_shape),
        Buffer("timestep", "int32", (1,)),
        Buffer("logits", "float32", (1, len(manifest.policy.timesteps))),
        Buffer("z_0", "float32", preset.latent_shape),
        Buffer("frames", "uint8", (*video, 3)),
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
