"""The torch models of a bundle, with weights from a checkpoint or from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from torch import nn

from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.numbers import Numbers
from videoscene_rt.export.policy import ConstantPolicy, DDPNet
from videoscene_rt.export.sources import Sources, build_autoencoder, weight_sources
from videoscene_rt.export.student import build_transformer
from videoscene_rt.export.tensor_source import TensorSource, fill
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder


@dataclass(frozen=True)
class Models:
    """Everything that is traced, in eval mode; in float32, or on the meta device, where only the sources hold numbers.

    Attributes:
        prompt: float32[1,L,D].
        dtypes: the dtype in which each weight file ("student", "autoencoder", "policy", "tiny_autoencoder") is stored: its checkpoint's.
        sources: where the numbers come from.
        numbers: what the tensors on the meta device hold.
        tiny: the tiny autoencoder beside a published one, where it is kept.
    """

    transformer: CogVideoXTransformer3DModel
    autoencoder: TinyAutoencoder | AutoencoderKLCogVideoX
    policy: DDPNet | ConstantPolicy
    prompt: torch.Tensor
    dtypes: dict[str, str]
    sources: Sources | None = None
    numbers: Numbers = field(default_factory=Numbers)
    tiny: TinyAutoencoder | None = None


def build_models(
    preset: Preset,
    checkpoint: Checkpoint | None,
    seed: int,
    constant: int | None,
    cut_positions: bool = False,
) -> Models:
    """Build the models of a preset, in memory.

    Args:
        preset: the sizes.
        checkpoint: where the weights are; None makes them from the seed.
        seed: for weights that come from no checkpoint.
        constant: the timestep t of a constant policy; None takes the policy net, or where a checkpoint has none, the
            candidate nearest to the published demo's t = 459.
        cut_positions: see `weight_sources`.

    Raises:
        InputError: the checkpoint does not fit the preset.
    """
    sources = weight_sources(preset, checkpoint, seed, constant, cut_positions)
    return build_filled(preset, sources, constant)


def build_filled(preset: Preset, sources: Sources, constant: int | None) -> Models:
    """The models of a preset in memory; see `build_models`."""
    transformer, autoencoder, tiny = _built(preset)
    fill(transformer, sources.student)
    fill(autoencoder, sources.autoencoder)
    if tiny is not None and sources.tiny is not None:
        fill(tiny, sources.tiny)
    return _models(preset, transformer, autoencoder, tiny, sources, constant)


def build_shells(preset: Preset, sources: Sources, constant: int | None) -> Models:
    """The models of a preset on the meta device, where they take no memory; the policy, which is small, is in memory.

    Args:
        preset, constant: see `build_models`.
        sources: what the tensors hold, one at a time.
    """
    with torch.device("meta"):
        transformer, autoencoder, tiny = _built(preset)
    held: list[tuple[nn.Module, TensorSource]] = [(transformer, sources.student), (autoencoder, sources.autoencoder)]
    if tiny is not None and sources.tiny is not None:
        held.append((tiny, sources.tiny))
    models = _models(preset, transformer, autoencoder, tiny, sources, constant)
    return replace(models, numbers=Numbers(held))


def _built(
    preset: Preset,
) -> tuple[CogVideoXTransformer3DModel, TinyAutoencoder | AutoencoderKLCogVideoX, TinyAutoencoder | None]:
    tiny = None if preset.tiny_autoencoder is None else TinyAutoencoder(preset.tiny_autoencoder)
    return build_transformer(preset), build_autoencoder(preset), tiny


def _models(
    preset: Preset,
    transformer: CogVideoXTransformer3DModel,
    autoencoder: TinyAutoencoder | AutoencoderKLCogVideoX,
    tiny: TinyAutoencoder | None,
    sources: Sources,
    constant: int | None,
) -> Models:
    policy: DDPNet | ConstantPolicy
    if constant is None and sources.policy is not None:
        policy = DDPNet(preset)
        fill(policy, sources.policy)
    else:
        policy = ConstantPolicy(preset.policy.timesteps, _nearest(preset) if constant is None else constant)
    for module in (transformer, autoencoder, policy, *(() if tiny is None else (tiny,))):
        module.requires_grad_(False).eval()
    return Models(transformer, autoencoder, policy, sources.prompt, sources.dtypes(), sources, tiny=tiny)


def _nearest(preset: Preset) -> int:
    return min(preset.policy.timesteps, key=lambda timestep: (abs(timestep - 459), timestep))
