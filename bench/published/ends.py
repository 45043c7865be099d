"""What stands before and beside the large networks: the renderer and the policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from videoscene_rt.bench.native_renderer import NativeRenderer
from videoscene_rt.bench.published.built import Built, Run
from videoscene_rt.bench.published.cells import Cell
from videoscene_rt.bench.published.modes import DTYPES, compiled
from videoscene_rt.bench.published.weights import Draw, made
from videoscene_rt.bench.torch_lowering import Cast
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.policy import DDPNet
from videoscene_rt.export.renderer import Renderer

_POINTS_IN_USE = 0.9


def build_render(cell: Cell, preset: Preset, draw: Draw, kernels: Path | None) -> Built:
    """The traced renderer ("eager"), or the kernel of the C library.

    Raises:
        InputError: the kernel is wanted, and no library was given.
    """
    inputs = view(preset, draw)
    traced = Renderer(preset.frames, preset.height, preset.width, preset.max_points, preset.renderer).to(draw.device)
    eager = _rendered(traced, inputs)
    if cell.mode == "eager":
        return Built(run=eager, inputs=inputs)
    if kernels is None:
        raise InputError("the renderer's kernel needs the C library", "name it as the request's kernels")
    native = NativeRenderer(kernels, preset, draw.device)
    return Built(run=_rendered(native, inputs), inputs=inputs, reference=eager)


def view(preset: Preset, draw: Draw) -> tuple[Tensor, ...]:
    """A cloud in a box before, beside and behind cameras that move a little; 9 in 10 points of its buffer in use."""
    low, high = (torch.tensor(corner, dtype=torch.float32) for corner in ((-4.0, -3.0, -1.0), (4.0, 3.0, 8.0)))
    middle, half = ((low + high) / 2).to(draw.device), ((high - low) / 2).to(draw.device)
    xyz = torch.erf(draw.normal("xyz", (preset.max_points, 3)) * 0.5**0.5) * half + middle  # uniform
    rgb = draw.levels("rgb", (preset.max_points, 3))
    points = torch.full((1,), max(1, int(preset.max_points * _POINTS_IN_USE)), dtype=torch.int32, device=draw.device)
    poses = torch.eye(4).repeat(preset.frames, 1, 1).to(draw.device)
    poses[:, :3, 3] = draw.normal("path", (preset.frames, 3), scale=0.2)
    focal = 0.8 * preset.width
    camera = [[focal, 0.0, (preset.width - 1) / 2], [0.0, focal, (preset.height - 1) / 2], [0.0, 0.0, 1.0]]
    cameras = torch.tensor(camera).repeat(preset.frames, 1, 1).to(draw.device)
    return xyz, rgb, points, poses.contiguous(), cameras.contiguous()


def build_policy(cell: Cell, preset: Preset, draw: Draw) -> Built:
    """The policy net over the coarse video's latent."""
    policy = made(lambda: DDPNet(preset), DTYPES[cell.dtype], draw)
    call = compiled(Cast(policy, DTYPES[cell.dtype]), cell.mode)
    latent = draw.normal("z_r", preset.latent_shape)

    def run() -> dict[str, Tensor]:
        timestep, logits = call(latent)
        return {"timestep": timestep, "logits": logits}

    return Built(run=run, inputs=(latent,), modules=(policy,))


def _rendered(call: Callable[..., tuple[Tensor, Tensor, Tensor]], inputs: tuple[Tensor, ...]) -> Run:
    def run() -> dict[str, Tensor]:
        coarse, depth, holes = call(*inputs)
        return {"coarse": coarse, "depth": depth, "hole_mask": holes}

    return run
