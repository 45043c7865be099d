"""A preset from a checkpoint's own files: sizes from its configurations, what they do not say from the preset videoscene-5b."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from pydantic import ValidationError

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import (
    LATENT_CHANNELS,
    SPATIAL_COMPRESSION,
    TEMPORAL_COMPRESSION,
    TIMESTEPS,
    CogVideoXAutoencoderSizes,
    Preset,
)
from videoscene_rt.export.checkpoint import Checkpoint, read_json
from videoscene_rt.export.presets import load_preset
from videoscene_rt.export.safetensors_file import tensor_places
from videoscene_rt.export.schedule import BETA_END, BETA_START
from videoscene_rt.export.student import transformer_config
from videoscene_rt.export.tiny_autoencoder_weights import sizes_of

PRESET_FILE = "preset.json"
_BASE = "videoscene-5b"
_OTHER = "only CogVideoX-5B-I2V's architecture is known here; its sizes may differ"
_SIZES = {
    "num_layers": "blocks",
    "num_attention_heads": "heads",
    "attention_head_dim": "head_dim",
    "max_text_seq_length": "text_tokens",
    "text_embed_dim": "text_width",
    "time_embed_dim": "time_embed_dim",
}
"""A field of transformer/config.json → the preset's word for it."""
_UNUSED = {"spatial_interpolation_scale", "temporal_interpolation_scale", "dropout"}
"""Fields without a meaning where positions are learned and nothing is trained."""
_AUTOENCODER = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": LATENT_CHANNELS,
    "temporal_compression_ratio": TEMPORAL_COMPRESSION,
    "act_fn": "silu",
    "norm_eps": 1e-6,
    "latents_mean": None,
    "latents_std": None,
    "shift_factor": None,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
_SCHEDULER = {
    "num_train_timesteps": TIMESTEPS,
    "beta_start": BETA_START,
    "beta_end": BETA_END,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "trained_betas": None,
}


def checkpoint_preset(checkpoint: Checkpoint) -> Preset:
    """The preset that a checkpoint is of.

    ``preset.json``, where the folder has one, says it all (our own training writes it). Otherwise: the student and the
    video's size from transformer/config.json, the autoencoder from vae/config.json (or the widths of
    tiny_autoencoder.safetensors where there is no vae/), the noise schedule's shift from scheduler/scheduler_config.json,
    the policy's widths from its file; candidates, renderer and points as in the preset videoscene-5b.

    Raises:
        InputError: a file is missing or wrong, or describes an architecture that is not CogVideoX-5B-I2V's.
    """
    if path := checkpoint.file(PRESET_FILE):
        return load_preset(str(path))
    base = load_preset(_BASE)
    config = _with_defaults(checkpoint.config("transformer"), CogVideoXTransformer3DModel)
    path = checkpoint.folder / "transformer" / "config.json"
    data: dict[str, Any] = {
        **base.model_dump(),
        "name": _name(checkpoint),
        "student": {ours: config.get(theirs) for theirs, ours in _SIZES.items()},
        "frames": config.get("sample_frames"),
        "height": _times(config.get("sample_height"), SPATIAL_COMPRESSION),
        "width": _times(config.get("sample_width"), SPATIAL_COMPRESSION),
        "autoencoder": _autoencoder(checkpoint),
    }
    data["schedule"]["snr_shift"] = _snr_shift(checkpoint, base.schedule.snr_shift)
    if (policy := checkpoint.policy()) is not None:
        widths = [
            place.shape[:1] for name, place in tensor_places(policy).items() if re.match(r"trunk\.\d\.bias", name)
        ]
        data["policy"]["channels"] = [width for (width,) in widths] or data["policy"]["channels"]
    try:
        preset = Preset.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc'])) or 'sizes'}: {first['msg']}") from error
    check_configs(preset, checkpoint)
    return preset


def check_configs(preset: Preset, checkpoint: Checkpoint) -> None:
    """Hold a preset against the checkpoint's configurations: the sizes, and everything that changes what the same tensors mean.

    Raises:
        InputError: a field differs; it is named with both values.
    """
    path = checkpoint.folder / "transformer" / "config.json"
    wanted = {name: value for name, value in transformer_config(preset).items() if name not in _UNUSED}
    _compare(path, _with_defaults(checkpoint.config("transformer"), CogVideoXTransformer3DModel), wanted, preset)
    if (
        isinstance(preset.autoencoder, CogVideoXAutoencoderSizes)
        and (path := checkpoint.folder / "vae/config.json").is_file()
    ):
        sizes = preset.autoencoder.model_dump(exclude={"kind"})
        blocks = len(sizes["block_out_channels"])
        kinds = {
            "down_block_types": ["CogVideoXDownBlock3D"] * blocks,
            "up_block_types": ["CogVideoXUpBlock3D"] * blocks,
        }
        _compare(
            path, _with_defaults(read_json(path), AutoencoderKLCogVideoX), {**sizes, **kinds, **_AUTOENCODER}, preset
        )
    if (path := checkpoint.folder / "scheduler/scheduler_config.json").is_file():
        schedule = {**_SCHEDULER, "snr_shift_scale": preset.schedule.snr_shift}
        _compare(path, _with_defaults(read_json(path), CogVideoXDDIMScheduler), schedule, preset)


def _compare(path: Any, found: Mapping[str, Any], wanted: Mapping[str, Any], preset: Preset) -> None:
    for name, value in wanted.items():
        have = found.get(name)
        if (list(have) if isinstance(have, (list, tuple)) else have) != (
            list(value) if isinstance(value, (list, tuple)) else value
        ):
            raise InputError(f"{path}: {name} is {have}; preset {preset.name} has {value}", _remedy(name))


def _remedy(name: str) -> str:
    sizes = {*_SIZES, "sample_frames", "sample_height", "sample_width", "block_out_channels", "layers_per_block",
             "norm_num_groups", "scaling_factor", "snr_shift_scale"}  # fmt: skip
    return (
        "leave --preset out: the sizes are then the checkpoint's own (docs/checkpoint.md)" if name in sizes else _OTHER
    )


def _with_defaults(config: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """A configuration as diffusers would read it: fields that it does not name are the class's defaults."""
    parameters = inspect.signature(kind).parameters.items()
    return {name: config.get(name, value.default) for name, value in parameters}


def _autoencoder(checkpoint: Checkpoint) -> dict[str, Any]:
    if (checkpoint.folder / "vae").is_dir():
        config = _with_defaults(checkpoint.config("vae"), AutoencoderKLCogVideoX)
        names = CogVideoXAutoencoderSizes.model_fields.keys() - {"kind"}
        return {"kind": "cogvideox", **{name: config.get(name) for name in names}}
    path = checkpoint.file("tiny_autoencoder.safetensors")
    if path is None:
        raise InputError(
            f"{checkpoint.folder} has no autoencoder: neither vae/ nor tiny_autoencoder.safetensors",
            "copy vae/ of the same checkpoint into the folder",
        )
    return sizes_of(path).model_dump()


def _snr_shift(checkpoint: Checkpoint, otherwise: float) -> Any:
    path = checkpoint.folder / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        return otherwise
    return _with_defaults(read_json(path), CogVideoXDDIMScheduler)["snr_shift_scale"]


def _times(value: Any, factor: int) -> Any:
    return value * factor if isinstance(value, int) else value


def _name(checkpoint: Checkpoint) -> str:
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", checkpoint.folder.resolve().name).strip("-._")
    return cleaned[:64] or "checkpoint"
