"""The torch models of a bundle, with weights from a checkpoint or from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel

from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.preset import CogVideoXAutoencoderSizes, Preset
from videoscene_rt.export.checkpoint import Checkpoint, dtype_name, load_strictly, read_safetensors
from videoscene_rt.export.cogvideox_autoencoder import build_cogvideox_autoencoder
from videoscene_rt.export.policy import ConstantPolicy, DDPNet
from videoscene_rt.export.seeding import seed_weights, seeded_array
from videoscene_rt.export.student import build_transformer, transformer_config
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder
from videoscene_rt.export.tiny_autoencoder_weights import load_tiny_autoencoder

_COPIES = 4  # of the student in float32: the module, the traced graph, the optimiser's, ONNX Runtime's


@dataclass(frozen=True)
class Models:
    """Everything that is traced, in float32 and eval mode.

    Attributes:
        prompt: float32[1,L,D].
        dtypes: the dtype in which each weight file ("student", "autoencoder", "policy") is stored: its checkpoint's.
    """

    transformer: CogVideoXTransformer3DModel
    autoencoder: TinyAutoencoder | AutoencoderKLCogVideoX
    policy: DDPNet | ConstantPolicy
    prompt: torch.Tensor
    dtypes: dict[str, str]


def build_models(preset: Preset, checkpoint: Checkpoint | None, seed: int, constant: int | None) -> Models:
    """Build the models of a preset.

    Args:
        preset: the sizes.
        checkpoint: where the weights are; None makes them from the seed.
        seed: for weights that come from no checkpoint.
        constant: the timestep t of a constant policy; None takes the policy net, or where a checkpoint has none, the
            candidate nearest to the published demo's t = 459.

    Raises:
        InputError: the checkpoint does not fit the preset.
        BackendError: the student does not fit into this machine's memory.
    """
    _require_memory(preset)
    models = _from_seed(preset, seed) if checkpoint is None else _from_checkpoint(preset, checkpoint)
    if constant is None and models.policy is not None:
        policy: DDPNet | ConstantPolicy = models.policy
    else:
        policy = ConstantPolicy(preset.policy.timesteps, _nearest(preset) if constant is None else constant)
    for module in (models.transformer, models.autoencoder, policy):
        module.requires_grad_(False).eval()
    return Models(models.transformer, models.autoencoder, policy, models.prompt, models.dtypes)


@dataclass(frozen=True)
class _Loaded:
    transformer: CogVideoXTransformer3DModel
    autoencoder: TinyAutoencoder | AutoencoderKLCogVideoX
    policy: DDPNet | None
    prompt: torch.Tensor
    dtypes: dict[str, str]


def _from_seed(preset: Preset, seed: int) -> _Loaded:
    transformer, autoencoder, policy = build_transformer(preset), _autoencoder(preset), DDPNet(preset)
    for name, module in (("transformer.", transformer), ("autoencoder.", autoencoder), ("policy.", policy)):
        seed_weights(module, seed, name)
    if isinstance(autoencoder, TinyAutoencoder):
        _centre(autoencoder)
    sizes = preset.student
    prompt = torch.from_numpy(seeded_array("prompt", (1, sizes.text_tokens, sizes.text_width), seed))
    return _Loaded(transformer, autoencoder, policy, prompt, {})


def _centre(autoencoder: TinyAutoencoder) -> None:
    """Bring an untrained decoder's pixels into the middle of [0, 1], or clamping would hide what comes before it."""
    last = autoencoder.decoder[-1]
    with torch.no_grad():
        parameters = dict(last.named_parameters())
        parameters["weight"].mul_(0.1)
        parameters["bias"].add_(0.5)


def _from_checkpoint(preset: Preset, checkpoint: Checkpoint) -> _Loaded:
    transformer = build_transformer(preset)
    _check_config(preset, checkpoint)
    tensors = checkpoint.component("transformer")
    load_strictly(transformer, tensors, str(checkpoint.folder / "transformer"))
    dtypes = {"student": dtype_name(tensors)}

    autoencoder, dtypes["autoencoder"] = _load_autoencoder(preset, checkpoint)
    policy = None
    if path := checkpoint.file("policy.safetensors"):
        policy, weights = DDPNet(preset), read_safetensors(path)
        load_strictly(policy, weights, str(path))
        dtypes["policy"] = dtype_name(weights)
    prompt = checkpoint.prompt()
    expected = (1, preset.student.text_tokens, preset.student.text_width)
    if tuple(prompt.shape) != expected:
        raise InputError(
            f"the checkpoint's prompt embedding is {list(prompt.shape)}, the preset wants {list(expected)}"
        )
    if not bool(torch.isfinite(prompt).all()):
        raise InputError("the checkpoint's prompt embedding holds values that are not finite")
    return _Loaded(transformer, autoencoder, policy, prompt, dtypes)


def _load_autoencoder(preset: Preset, checkpoint: Checkpoint) -> tuple[TinyAutoencoder | AutoencoderKLCogVideoX, str]:
    if isinstance(preset.autoencoder, CogVideoXAutoencoderSizes):
        autoencoder = _autoencoder(preset)
        tensors = checkpoint.component("vae")
        load_strictly(autoencoder, tensors, str(checkpoint.folder / "vae"))
        return autoencoder, dtype_name(tensors)
    path = checkpoint.folder / "tiny_autoencoder.safetensors"
    tiny = load_tiny_autoencoder(path, preset.autoencoder)
    return tiny, dtype_name(read_safetensors(path))


def _autoencoder(preset: Preset) -> TinyAutoencoder | AutoencoderKLCogVideoX:
    if isinstance(preset.autoencoder, CogVideoXAutoencoderSizes):
        return build_cogvideox_autoencoder(preset.autoencoder, preset.height, preset.width)
    return TinyAutoencoder(preset.autoencoder)


def _check_config(preset: Preset, checkpoint: Checkpoint) -> None:
    """The sizes in transformer/config.json that change what the same tensors mean."""
    found, wanted = checkpoint.config("transformer"), transformer_config(preset)
    for key in ("num_layers", "num_attention_heads", "attention_head_dim", "in_channels", "out_channels", "patch_size",
                "text_embed_dim", "max_text_seq_length", "sample_width", "sample_height", "sample_frames"):  # fmt: skip
        if key in found and found[key] != wanted[key]:
            raise InputError(
                f"{checkpoint.folder / 'transformer' / 'config.json'}: {key} is {found[key]}; preset {preset.name} has {wanted[key]}",
                "export with a preset of the checkpoint's sizes (--preset takes a JSON file too)",
            )


def _nearest(preset: Preset) -> int:
    return min(preset.policy.timesteps, key=lambda timestep: (abs(timestep - 459), timestep))


def _require_memory(preset: Preset) -> None:
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build_transformer(preset).parameters())
    needed, free = parameters * 4 * _COPIES, _free_memory()
    if free is not None and needed > free:
        raise BackendError(
            f"the student of preset {preset.name} has {parameters / 1e9:.1f} billion parameters; exporting it takes about "
            f"{needed / 2**30:.0f} GiB of memory and {free / 2**30:.0f} GiB are free",
            "export it on a machine with more memory",
        )


def _free_memory() -> int | None:
    """Bytes that Linux says are available; None elsewhere."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            fields = dict(line.split(":") for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
