"""The renderer, the policy and the student as graphs to trace: the torch module, the contract, and inputs to prove it with."""

from __future__ import annotations

import numpy as np
import torch

from videoscene_rt.engines.preset import Preset
from videoscene_rt.engines.specs import TensorSpec
from videoscene_rt.export.graph_source import GraphSource, random_inputs
from videoscene_rt.export.models import Models
from videoscene_rt.export.renderer import Renderer
from videoscene_rt.export.student import Student


def chain_graphs(models: Models, preset: Preset) -> list[GraphSource]:
    """The three graphs that every bundle has; the autoencoder's are in autoencoder_graphs.py."""
    return [_renderer(preset), _policy(models, preset), _student(models, preset)]


def _renderer(preset: Preset) -> GraphSource:
    frames, height, width, points = preset.frames, preset.height, preset.width, preset.max_points
    video = (frames, height, width)
    return GraphSource(
        name="renderer",
        module=Renderer.from_preset(preset),
        inputs=(
            TensorSpec(name="xyz", dtype="float32", shape=(points, 3), meaning="points in the world", unit="m"),
            TensorSpec(name="rgb", dtype="uint8", shape=(points, 3), meaning="colours of the points"),
            TensorSpec(name="num_points", dtype="int32", shape=(1,), meaning="points in use, from the front"),
            TensorSpec(name="world_to_camera", dtype="float32", shape=(frames, 4, 4), meaning="pose of each frame"),
            TensorSpec(name="intrinsics", dtype="float32", shape=(frames, 3, 3), meaning="camera matrices", unit="px"),
        ),
        outputs=(
            TensorSpec(name="frames", dtype="uint8", shape=(*video, 3), meaning="coarse video, RGB"),
            TensorSpec(name="depth", dtype="float32", shape=video, meaning="depth; 0 in holes", unit="m"),
            TensorSpec(name="hole_mask", dtype="uint8", shape=video, meaning="1 where no point fell"),
        ),
        weights="renderer",
        example=lambda rng: _random_view(preset, rng),
        parity_limit=0.0,
    )


def _random_view(preset: Preset, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """A cloud in front of, beside and behind a camera that moves and turns a little; 9 in 10 points of the buffer are in use."""
    points, frames = preset.max_points, preset.frames
    xyz = rng.uniform((-4, -3, -1), (4, 3, 8), (points, 3)).astype(np.float32)
    rgb = rng.integers(0, 256, (points, 3), dtype=np.uint8)
    poses = np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1))
    for pose, angle in zip(poses, rng.uniform(-0.3, 0.3, frames), strict=True):
        pose[0, 0] = pose[2, 2] = np.cos(angle)
        pose[0, 2], pose[2, 0] = np.sin(angle), -np.sin(angle)
        pose[:3, 3] = rng.uniform(-0.5, 0.5, 3)
    focal = preset.width * 0.8
    intrinsics = np.array([[focal, 0, preset.width / 2], [0, focal, preset.height / 2], [0, 0, 1]], np.float32)
    count = np.array([max(1, points * 9 // 10)], np.int32)
    return tuple(map(torch.from_numpy, (xyz, rgb, count, poses, np.tile(intrinsics, (frames, 1, 1)))))


def _policy(models: Models, preset: Preset) -> GraphSource:
    candidates = len(preset.policy.candidates)
    inputs = (TensorSpec(name="z_r", dtype="float32", shape=preset.latent_shape, meaning="latent of the coarse video"),)
    return GraphSource(
        name="policy",
        module=models.policy,
        inputs=inputs,
        outputs=(
            TensorSpec(name="timestep", dtype="int32", shape=(1,), meaning="the chosen timestep t, 0 to 999"),
            TensorSpec(name="logits", dtype="float32", shape=(1, candidates), meaning="score of each candidate"),
        ),
        weights="policy",
        example=lambda rng: random_inputs(inputs, rng),
    )


def _student(models: Models, preset: Preset) -> GraphSource:
    latent, sizes = preset.latent_shape, preset.student
    prompt = (1, sizes.text_tokens, sizes.text_width)
    floats = (
        TensorSpec(name="z_r", dtype="float32", shape=latent, meaning="latent of the coarse video"),
        TensorSpec(name="condition", dtype="float32", shape=latent, meaning="[z_1, 0, …, 0, z_L] along frames"),
        TensorSpec(name="noise", dtype="float32", shape=latent, meaning="ε, standard normal"),
        TensorSpec(name="prompt", dtype="float32", shape=prompt, meaning="the fixed prompt's embedding"),
    )
    timestep = TensorSpec(name="timestep", dtype="int32", shape=(1,), meaning="t, 0 to 999")

    def example(rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
        chosen = torch.tensor([int(rng.choice(preset.policy.timesteps))], dtype=torch.int32)
        return (*random_inputs(floats, rng), chosen)

    return GraphSource(
        name="student",
        module=Student(models.transformer, preset.schedule),
        inputs=(*floats, timestep),
        outputs=(TensorSpec(name="z_0", dtype="float32", shape=latent, meaning="latent of the refined video"),),
        weights="student",
        example=example,
        numbers=models.numbers,
    )
