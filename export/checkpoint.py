"""A checkpoint folder in diffusers' layout, read without ever running a pickle.

transformer/   config.json and diffusion_pytorch_model*.safetensors (one file, or shards with their index)
vae/           the same, for presets with the published autoencoder
tiny_autoencoder.safetensors      for presets with the tiny one, with the published keys
policy.safetensors                the policy net; without it the policy is constant
prompt_embeds.safetensors (one tensor) or prompt_embeds.pt (one tensor, read with weights_only)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from videoscene_rt.engines.digest import file_sha256, text_sha256
from videoscene_rt.engines.errors import InputError

Tensors = Mapping[str, torch.Tensor]
_NAMES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder."""

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> Checkpoint:
        """Raises InputError where there is no such folder."""
        if not folder.is_dir():
            raise InputError(f"{folder} is not a checkpoint: there is no such folder")
        return cls(folder)

    def component(self, name: str) -> Tensors:
        """All tensors of ``name``/*.safetensors (diffusers' "transformer" or "vae").

        Raises:
            InputError: there are none, two shards hold the same tensor, or a file is not safetensors.
        """
        files = sorted((self.folder / name).glob("*.safetensors"))
        if not files:
            raise InputError(
                f"{self.folder / name} has no *.safetensors",
                "give a folder in diffusers' layout (see docs/checkpoint.md); pickled weights (.bin, .ckpt) are not read",
            )
        tensors: dict[str, torch.Tensor] = {}
        for file in files:
            for key, tensor in read_safetensors(file).items():
                if key in tensors:
                    raise InputError(f"{file} holds {key} a second time", "remove the shards that do not belong here")
                tensors[key] = tensor
        return tensors

    def config(self, name: str) -> dict[str, Any]:
        """config.json of a component.

        Raises:
            InputError: it is missing or no JSON object.
        """
        path = self.folder / name / "config.json"
        try:
            data = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise InputError(
                f"{path} is missing", "give a folder in diffusers' layout (see docs/checkpoint.md)"
            ) from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        if not isinstance(data, dict):
            raise InputError(f"{path} is not a JSON object")
        return data

    def file(self, name: str) -> Path | None:
        """A file of the folder, None if it is not there."""
        path = self.folder / name
        return path if path.is_file() else None

    def prompt(self) -> torch.Tensor:
        """The prompt embedding, float32[1, tokens, width].

        Raises:
            InputError: there is none, or it is not one such tensor.
        """
        tensor: object
        if path := self.file("prompt_embeds.safetensors"):
            tensors = list(read_safetensors(path).values())
            tensor = tensors[0] if len(tensors) == 1 else None
        elif path := self.file("prompt_embeds.pt"):
            tensor = _read_pt(path)
        else:
            raise InputError(f"{self.folder} has no prompt_embeds.pt or prompt_embeds.safetensors")
        if not isinstance(tensor, torch.Tensor) or tensor.dim() not in (2, 3) or not tensor.is_floating_point():
            raise InputError(f"{path} does not hold one tensor [1, tokens, width]")
        return tensor.float().reshape(-1, *tensor.shape[-2:])

    def digest(self) -> str:
        """SHA-256 over the names and digests of the checkpoint's files."""
        files = [path for pattern in ("*", "*/*") for path in self.folder.glob(pattern) if path.is_file()]
        wanted = sorted(path for path in files if path.suffix in {".safetensors", ".pt", ".json"})
        return text_sha256(f"{file_sha256(path)} {path.relative_to(self.folder).as_posix()}" for path in wanted)


def read_safetensors(path: Path) -> Tensors:
    """All tensors of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path} is not a readable safetensors file: {error}") from error


def _read_pt(path: Path) -> object:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not what it says
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path} is not a tensor that can be read safely: {reason}") from error
    return loaded


def dtype_name(tensors: Tensors) -> str:
    """The dtype that all floating tensors share; "float32" if they differ or none of float16 and bfloat16."""
    dtypes = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    return _NAMES.get(dtypes.pop(), "float32") if len(dtypes) == 1 else "float32"


def load_strictly(module: nn.Module, tensors: Tensors, where: str) -> None:
    """Fill a module with float32 copies of exactly its tensors.

    Raises:
        InputError: a tensor is missing, unexpected, or of another shape; the first few are named.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - own.keys())
    shapes = [
        f"{key} is {list(tensors[key].shape)}, the preset wants {list(own[key].shape)}"
        for key in sorted(own.keys() & tensors.keys())
        if own[key].shape != tensors[key].shape
    ]
    for problems, word in ((missing, "missing"), (unexpected, "unexpected"), (shapes, "of another shape")):
        if problems:
            more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise InputError(
                f"{where}: {len(problems)} tensors are {word}: {', '.join(problems[:3])}{more}",
                "the checkpoint must be of the preset's sizes (--preset takes a JSON file too; see docs/checkpoint.md)",
            )
    module.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
