"""Writing what was trained in the layout that ``vsrt export --checkpoint`` reads (docs/checkpoint.md), in float16; reading it back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import CogVideoXAutoencoderSizes, Preset
from videoscene_rt.export.checkpoint import Checkpoint, load_strictly, read_safetensors
from videoscene_rt.export.distill.chain import Chain
from videoscene_rt.export.distill.diffusion import Schedule
from videoscene_rt.export.distill.run import Models
from videoscene_rt.export.distill.transformer import Transformer, config
from videoscene_rt.export.policy import DDPNet
from videoscene_rt.export.tiny_autoencoder_weights import load_tiny_autoencoder

AUTOENCODER, POLICY, PROMPT = "tiny_autoencoder.safetensors", "policy.safetensors", "prompt_embeds.safetensors"
TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
PRESET_FILE = "preset.json"


def write_checkpoint(folder: Path, preset: Preset, models: Models) -> int:
    """Write the checkpoint, replacing one that is there; returns the bytes of its weights.

    Raises:
        InputError: a weight is not finite in float16.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    (temporary / "transformer").mkdir(parents=True)
    files = {
        TRANSFORMER: _half(models.transformer),
        AUTOENCODER: _half(models.autoencoder),
        POLICY: _half(models.policy),
        PROMPT: {"prompt_embeds": models.prompt.to("cpu", torch.float16).contiguous()},
    }
    for name, tensors in files.items():
        for key, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise InputError(f"{name}: {key} is not finite in float16", "train with a smaller rate")
        save_file(tensors, temporary / name)
    (temporary / "transformer" / "config.json").write_text(json.dumps(config(preset), indent=1) + "\n")
    (temporary / PRESET_FILE).write_text(preset.model_dump_json(indent=1) + "\n")
    size = sum((temporary / name).stat().st_size for name in files)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)
    return size


def read_chain(folder: Path, preset: Preset, device: torch.device) -> Chain:
    """The chain of a checkpoint, in float32, as every backend's reference computes it.

    Raises:
        InputError: a file is missing, unreadable or not of the preset's sizes.
    """
    checkpoint = Checkpoint.open(folder)
    if isinstance(preset.autoencoder, CogVideoXAutoencoderSizes):
        raise InputError(f"preset {preset.name} has the published autoencoder", "choose a preset with the tiny one")
    transformer, policy = Transformer(preset), DDPNet(preset)
    load_strictly(transformer, checkpoint.component("transformer"), str(folder / "transformer"))
    load_strictly(policy, read_safetensors(folder / POLICY), str(folder / POLICY))
    autoencoder = load_tiny_autoencoder(folder / AUTOENCODER, preset.autoencoder)
    for module in (transformer, policy, autoencoder):
        module.requires_grad_(False).eval().to(device)
    prompt = checkpoint.prompt().to(device)
    return Chain(autoencoder, transformer, policy, prompt, Schedule.of(preset, device))


def _half(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in module.state_dict().items()}
