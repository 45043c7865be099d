"""Checkpoints of the published layout, small: two shards with their index, the configurations, a prompt, a student beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from videoscene_rt.engines.preset import CogVideoXAutoencoderSizes, Preset
from videoscene_rt.export.models import Models, build_models
from videoscene_rt.export.student import transformer_config

SHARDS = "diffusion_pytorch_model-{:05d}-of-00002.safetensors"
INDEX = "diffusion_pytorch_model.safetensors.index.json"


def write_published(folder: Path, preset: Preset, seed: int = 3, dtype: torch.dtype = torch.bfloat16) -> Models:
    """Write a folder as it is published, its policy not in it; and give the models that it was made from."""
    models = build_models(preset, None, seed, None)
    transformer = {key: value.to(dtype).contiguous() for key, value in models.transformer.state_dict().items()}
    weight_map = {}
    (folder / "transformer").mkdir(parents=True)
    for number, part in enumerate((sorted(transformer)[::2], sorted(transformer)[1::2]), 1):
        weight_map |= dict.fromkeys(part, SHARDS.format(number))
        save_file({key: transformer[key] for key in part}, folder / "transformer" / SHARDS.format(number))
    size = sum(tensor.nbytes for tensor in transformer.values())
    _json(folder / "transformer" / INDEX, {"metadata": {"total_size": size}, "weight_map": weight_map})
    known = {key: value for key, value in transformer_config(preset).items() if value is not None}
    _json(folder / "transformer" / "config.json", {"_class_name": "CogVideoXTransformer3DModel", **known})

    assert isinstance(preset.autoencoder, CogVideoXAutoencoderSizes)
    (folder / "vae").mkdir()
    vae = {key: tensor.to(dtype) for key, tensor in models.autoencoder.state_dict().items()}
    save_file(vae, folder / "vae" / "diffusion_pytorch_model.safetensors")
    sizes = preset.autoencoder.model_dump(exclude={"kind"}, mode="json")
    _json(folder / "vae" / "config.json", {**sizes, "latent_channels": 16, "act_fn": "silu", "norm_eps": 1e-6})
    (folder / "scheduler").mkdir()
    _json(folder / "scheduler" / "scheduler_config.json", scheduler_config(preset.schedule.snr_shift))
    torch.save(models.prompt[0].to(dtype), folder / "prompt_embeds.pt")
    return models


def scheduler_config(snr_shift: float) -> dict[str, Any]:
    """scheduler_config.json as CogVideoX-5B-I2V has it, with this shift."""
    return {
        "_class_name": "CogVideoXDDIMScheduler",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "set_alpha_to_one": True,
        "snr_shift_scale": snr_shift,
        "timestep_spacing": "trailing",
    }


def edit(path: Path, **fields: Any) -> None:
    """Change fields of a JSON file."""
    _json(path, {**json.loads(path.read_text()), **fields})


def _json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2))
