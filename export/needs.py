"""What an export needs of a machine: memory to prove it whole, and room on the disk. Looked at before anything is written."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import torch

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.free_memory import free_memory
from videoscene_rt.engines.preset import CogVideoXAutoencoderSizes, Preset
from videoscene_rt.export.models import Models
from videoscene_rt.export.student import build_transformer
from videoscene_rt.export.tensor_source import DTYPES

COPIES = 4
"""Of the student in float32, where it is proved whole: the module, the traced graph, the optimiser's, ONNX Runtime's."""
WHOLE_LIMIT = 8 << 30
"""A bundle that needs more is proved on a twin, unless it is asked for otherwise."""
LITTLE = 1 << 30
"""A bundle whose whole proof takes no more: its graphs' leavings may wait for Python to find them."""
_ACTIVATIONS = 8  # of the widest kind that ONNX Runtime and torch hold at once
_BESIDE = 64 << 20  # graphs, prompt, manifest, and the proof's own files


def parameters_of_student(preset: Preset) -> int:
    """How many parameters a student has."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_transformer(preset).parameters())


def memory_of_whole_proof(preset: Preset) -> int:
    """About how many bytes it takes to prove a bundle whole: the student's copies, or the largest activations if they are more."""
    _, frames, _, high, wide = preset.latent_shape
    tokens = preset.student.text_tokens + frames * (high // 2) * (wide // 2)
    scores = 2 * preset.student.heads * tokens**2 * 4
    channels = 0
    if isinstance(preset.autoencoder, CogVideoXAutoencoderSizes):
        channels = 9 * preset.autoencoder.block_out_channels[0]
    pixels = _ACTIVATIONS * channels * preset.height * preset.width * 4
    return parameters_of_student(preset) * 4 * COPIES + max(scores, pixels)


def proved_whole(preset: Preset) -> bool:
    """Whether a bundle is proved whole where nobody says how: it takes no more than 8 GiB, and this machine has them free."""
    needed, free = memory_of_whole_proof(preset), free_memory()
    return needed <= WHOLE_LIMIT and (free is None or needed <= free)


def takes_little(preset: Preset) -> bool:
    """Whether nobody has to look after the memory of an export between one graph and the next."""
    return memory_of_whole_proof(preset) <= LITTLE


def require_memory(preset: Preset) -> None:
    """Refuse to hold a student in memory that does not fit.

    Raises:
        BackendError: it does not; what it takes and what is free are named.
    """
    parameters, free = parameters_of_student(preset), free_memory()
    needed = parameters * 4 * COPIES
    if free is not None and needed > free:
        raise BackendError(
            f"the student of preset {preset.name} has {parameters / 1e9:.1f} billion parameters; proving it whole takes about "
            f"{needed / 2**30:.0f} GiB of memory and {free / 2**30:.0f} GiB are free",
            "leave --proof out: it is then proved on a smaller picture, a layer at a time (docs/published.md)",
        )


def weight_bytes(models: Models) -> int:
    """Bytes of the bundle's weights."""
    families = {"student": models.transformer, "autoencoder": models.autoencoder, "policy": models.policy}
    if models.tiny is not None:
        families["tiny_autoencoder"] = models.tiny
    return sum(
        math.ceil(tensor.numel() * DTYPES[models.dtypes.get(name, "float32")].itemsize)
        for name, module in families.items()
        for tensor in module.state_dict().values()
    )


def require_space(folder: Path, models: Models) -> None:
    """Refuse to write a bundle where it does not fit.

    Raises:
        BackendError: the disk has too little room; both sizes are named.
    """
    needed, free = weight_bytes(models) + _BESIDE, shutil.disk_usage(folder).free
    if needed > free:
        raise BackendError(
            f"the bundle takes {needed / 2**30:.1f} GiB and {folder} has {free / 2**30:.1f} GiB free",
            "free some space, or name a folder on another disk with --out",
        )
