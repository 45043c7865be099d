"""The torch models of a bundle, with weights from a checkpoint or from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.matching import Matched
from videoscene_rt.export.policy import ConstantPolicy, DDPNet
from videoscene_rt.export.sources import Sources, build_autoencoder, weight_sources
from videoscene_rt.export.student import build_transformer
from videoscene_rt.export.tensor_source import fill
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder

_COPIES = 4  # of the student in float32: the module, the traced graph, the optimiser's, ONNX Runtime's


@dataclass(frozen=True)
class Models:
    """Everything that is traced, in eval mode; in float32, or on the meta device, where only the sources hold numbers.

    Attributes:
        prompt: float32[1,L,D].
        dtypes: the dtype in which each weight file ("student", "autoencoder", "policy") is stored: its checkpoint's.
        sources: where the numbers come from.
    """

    transformer: CogVideoXTransformer3DModel
    autoencoder: TinyAutoencoder | AutoencoderKLCogVideoX
    policy: DDPNet | ConstantPolicy
    prompt: torch.Tensor
    dtypes: dict[str, str]
    sources: Sources | None = None


def build_models(
    preset: Preset,
    checkpoint: Checkpoint | None,
    seed: int,
    constant: int | None,
    cut_positions: bool = False,
    on_matched: Callable[[tuple[Matched, ...]], None] | None = None,
) -> Models:
    """Build the models of a preset, in memory.

    Args:
        preset: the sizes.
        checkpoint: where the weights are; None makes them from the seed.
        seed: for weights that come from no checkpoint.
        constant: the timestep t of a constant policy; None takes the policy net, or where a checkpoint has none, the
            candidate nearest to the published demo's t = 459.
        cut_positions, on_matched: see `weight_sources`.

    Raises:
        InputError: the checkpoint does not fit the preset.
        BackendError: the student does not fit into this machine's memory.
    """
    _require_memory(preset)
    sources = weight_sources(preset, checkpoint, seed, constant, cut_positions, on_matched=on_matched)
    transformer, autoencoder = build_transformer(preset), build_autoencoder(preset)
    fill(transformer, sources.student)
    fill(autoencoder, sources.autoencoder)
    return _models(preset, transformer, autoencoder, sources, constant)


def _models(
    preset: Preset,
    transformer: CogVideoXTransformer3DModel,
    autoencoder: TinyAutoencoder | AutoencoderKLCogVideoX,
    sources: Sources,
    constant: int | None,
) -> Models:
    policy: DDPNet | ConstantPolicy
    if constant is None and sources.policy is not None:
        policy = DDPNet(preset)
        fill(policy, sources.policy)
    else:
        policy = ConstantPolicy(preset.policy.timesteps, _nearest(preset) if constant is None else constant)
    for module in (transformer, autoencoder, policy):
        module.requires_grad_(False).eval()
    return Models(transformer, autoencoder, policy, sources.prompt, sources.dtypes(), sources)


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
