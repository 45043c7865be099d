"""What goes into an item, and what the published path makes of it in torch, on the very numbers that its graphs have."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from videoscene_rt.bench.published.autoencoder import SIGMA, published_run, published_sizes, stage_inputs
from videoscene_rt.bench.published.built import Outputs, Run
from videoscene_rt.bench.published.cells import Cell
from videoscene_rt.bench.published.engines.item import Item
from videoscene_rt.bench.published.engines.sources import HALF
from videoscene_rt.bench.published.student import published_run as student_run
from videoscene_rt.bench.published.student import student_inputs, transformer_on_device, with_blocks
from videoscene_rt.bench.published.tiny import tiny_sizes
from videoscene_rt.bench.published.weights import Draw, made
from videoscene_rt.bench.torch_lowering import CastAutoencoder
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.cogvideox_autoencoder import build_cogvideox_autoencoder
from videoscene_rt.export.policy import DDPNet
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder
from videoscene_rt.export.tiny_autoencoder_graphs import DecodeClip, EncodeClip, EncodeImages

Array = npt.NDArray[np.generic]


def given_arrays(item: Item, preset: Preset, draw: Draw) -> dict[str, Array]:
    """The inputs of an item, by the names of `calls`."""
    return {name: tensor.cpu().numpy() for name, tensor in _given(item, preset, draw).items()}


def wanted_arrays(item: Item, preset: Preset, draw: Draw, dtype: torch.dtype) -> dict[str, Array]:
    """What the published path gives for those inputs in a dtype, the weights being those of `HALF` in any case; without TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        outputs = _run(item, preset, draw, dtype)()
        return {name: tensor.cpu().numpy() for name, tensor in outputs.items() if name != "v"}
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _given(item: Item, preset: Preset, draw: Draw) -> dict[str, Tensor]:
    if item.stage == "student":
        one = student_inputs(preset, draw)
        names = ("z_r", "condition", "noise", "prompt", "timestep")
        return dict(zip(names, one.all, strict=True))
    if item.stage == "policy":
        return {"z_r": draw.normal("z_r", preset.latent_shape)}
    cell = Cell(item.stage.removeprefix("tiny_"), "eager", "fp32")  # type: ignore[arg-type]  # the full stage
    tensors = stage_inputs(cell, preset, draw)
    if item.stage.endswith("encode_images"):
        images, eta, noise = tensors
        sigma = torch.full((1,), SIGMA, device=draw.device)
        found = {"images": images, "sigma": sigma, "eta": eta}
        return found if item.stage.startswith("tiny") else {**found, "noise": noise}
    if item.stage.endswith("encode_coarse"):
        return dict(zip(("coarse", "noise") if item.stage == "encode_coarse" else ("coarse",), tensors, strict=False))
    return {"z_0": tensors[0]}


def _run(item: Item, preset: Preset, draw: Draw, dtype: torch.dtype) -> Run:
    if item.stage == "student":
        sized = with_blocks(preset, item.blocks)
        transformer = transformer_on_device(sized, HALF, draw).to(dtype)
        return student_run(transformer, sized, student_inputs(preset, draw), dtype)
    given = _given(item, preset, draw)
    if item.stage == "policy":
        policy = made(lambda: DDPNet(preset), HALF, draw).float()
        return lambda: dict(zip(("timestep", "logits"), policy(given["z_r"]), strict=True))
    if item.stage.startswith("tiny"):
        return _tiny(item, preset, draw, dtype, given)
    sizes = published_sizes(preset)
    vae = made(lambda: build_cogvideox_autoencoder(sizes, preset.height, preset.width), HALF, draw).to(dtype)
    cell = Cell(item.stage, "eager", "fp32" if dtype == torch.float32 else "fp16")
    return published_run(cell, vae, stage_inputs(cell, preset, draw), sizes.scaling_factor)


def _tiny(item: Item, preset: Preset, draw: Draw, dtype: torch.dtype, given: dict[str, Tensor]) -> Run:
    model = made(lambda: TinyAutoencoder(tiny_sizes(preset)), HALF, draw).to(dtype)
    kinds = {"tiny_encode_coarse": EncodeClip, "tiny_encode_images": EncodeImages, "tiny_decode": DecodeClip}
    names = {"tiny_encode_coarse": ("z_r",), "tiny_encode_images": ("first", "last"), "tiny_decode": ("frames",)}
    module = kinds[item.stage](CastAutoencoder(model, dtype))  # type: ignore[arg-type]  # it has a TinyAutoencoder's methods

    def run() -> Outputs:
        found = module(*given.values())
        return dict(zip(names[item.stage], (found,) if isinstance(found, Tensor) else found, strict=True))

    return run
