"""A checkpoint as its user has it, read without ever running a pickle: a folder in diffusers' layout, and files over it.

transformer/   config.json and diffusion_pytorch_model*.safetensors (one file, or shards with their index)
vae/           the same, for presets with the published autoencoder
scheduler/     scheduler_config.json
tiny_autoencoder.safetensors      for presets with the tiny one, with the published keys
policy.safetensors                the policy net; without it the policy is constant
prompt_embeds.safetensors (one tensor) or prompt_embeds.pt (one tensor, read with weights_only)
"""

from __future__ import annotations

import json
import warnings
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
from videoscene_rt.export.matching import match
from videoscene_rt.export.request import Mismatch
from videoscene_rt.export.safetensors_file import TensorPlace, tensor_places
from videoscene_rt.export.tensor_source import shapes_of

Tensors = Mapping[str, torch.Tensor]

TINY_AUTOENCODER = "tiny_autoencoder.safetensors"
_LAYOUT = "give a folder in diffusers' layout (see docs/checkpoint.md)"
_PARTS = ("transformer", "vae", "scheduler")
_SUFFIXES = {".safetensors", ".pt", ".json"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder, and what goes over it.

    Attributes:
        folder: in diffusers' layout.
        student: safetensors that go over the transformer's, possibly only some of them.
        prompt_file: the prompt's embedding; None takes the folder's.
        policy_file: the policy net; None takes the folder's, if it has one.
        accepted: the mismatches between files and model that are no error.
        tiny_file: the tiny autoencoder; None takes the folder's.
    """

    folder: Path
    student: Path | None = None
    prompt_file: Path | None = None
    policy_file: Path | None = None
    accepted: frozenset[Mismatch] = frozenset()
    tiny_file: Path | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        student: Path | None = None,
        prompt_file: Path | None = None,
        policy_file: Path | None = None,
        accepted: frozenset[Mismatch] = frozenset(),
        tiny_file: Path | None = None,
    ) -> Checkpoint:
        """Raises InputError where the folder or a file is not there."""
        if not folder.is_dir():
            raise InputError(
                f"{folder} is not a checkpoint: there is no such folder",
                "give a folder in diffusers' layout (see docs/checkpoint.md)",
            )
        over = {"student": student, "prompt embedding": prompt_file, "policy": policy_file}
        for what, file in (*over.items(), ("tiny autoencoder", tiny_file)):
            if file is not None and not file.is_file():
                raise InputError(f"there is no {what} at {file}: no such file")
        return cls(folder, student, prompt_file, policy_file, accepted, tiny_file)

    def places(self, name: str) -> dict[str, TensorPlace]:
        """Where all tensors of ``name``/*.safetensors lie (diffusers' "transformer" or "vae"); reads headers alone.

        Where there is an index (``*.safetensors.index.json``), the shards are those that it names.

        Raises:
            InputError: there are none, one is missing, two hold the same tensor, or a file is not safetensors.
        """
        folder = self.folder / name
        indices = sorted(folder.glob("*.safetensors.index.json"))
        files = _indexed(indices[0]) if len(indices) == 1 else sorted(folder.glob("*.safetensors"))
        if not files:
            raise InputError(f"{folder} has no *.safetensors", f"{_LAYOUT}; pickled weights (.bin, .ckpt) are not read")
        places: dict[str, TensorPlace] = {}
        for file in files:
            for key, place in tensor_places(file).items():
                if key in places:
                    raise InputError(f"{file} holds {key} a second time", "remove the shards that do not belong here")
                places[key] = place
        return places

    def component(self, name: str) -> Tensors:
        """All tensors of ``name``/*.safetensors, in memory; see `places` for what it raises."""
        return {key: place.read() for key, place in self.places(name).items()}

    def config(self, name: str, file: str = "config.json") -> dict[str, Any]:
        """A component's configuration.

        Raises:
            InputError: it is missing or no JSON object.
        """
        return read_json(self.folder / name / file)

    def file(self, name: str) -> Path | None:
        """A file of the folder, None if it is not there."""
        path = self.folder / name
        return path if path.is_file() else None

    def label(self, path: Path) -> str:
        """A file's name for a reader: its path inside the folder, or the name of a file given beside it."""
        inside = path.is_relative_to(self.folder)
        return path.relative_to(self.folder).as_posix() if inside else path.name

    def policy(self) -> Path | None:
        """The policy net's file, None if there is none."""
        return self.policy_file or self.file("policy.safetensors")

    def tiny_autoencoder(self) -> Path:
        """The tiny autoencoder's file; it may not be there."""
        return self.tiny_file or self.folder / TINY_AUTOENCODER

    def prompt_path(self) -> Path:
        """The prompt embedding's file.

        Raises:
            InputError: there is none.
        """
        path = self.prompt_file or self.file("prompt_embeds.safetensors") or self.file("prompt_embeds.pt")
        if path is None:
            raise InputError(
                f"{self.folder} has no prompt_embeds.pt or prompt_embeds.safetensors",
                "name the prompt's embedding with --prompt-embeds",
            )
        return path

    def prompt(self) -> torch.Tensor:
        """The prompt embedding, float32[1, tokens, width].

        Raises:
            InputError: there is none, or it is not one such tensor.
        """
        path = self.prompt_path()
        tensor: object
        if path.suffix == ".safetensors":
            tensors = list(read_safetensors(path).values())
            tensor = tensors[0] if len(tensors) == 1 else None
        else:
            tensor = _read_pt(path)
        if not isinstance(tensor, torch.Tensor) or tensor.dim() not in (2, 3) or not tensor.is_floating_point():
            raise InputError(f"{path} does not hold one tensor [1, tokens, width]")
        return tensor.detach().float().reshape(-1, *tensor.shape[-2:])

    def digest(self) -> str:
        """SHA-256 over the names and digests of the checkpoint's files, those over the folder included."""
        files = [*self.folder.glob("*"), *(path for part in _PARTS for path in (self.folder / part).glob("*"))]
        wanted = sorted(path for path in files if path.suffix in _SUFFIXES and path.is_file())
        lines = [f"{file_sha256(path)} {path.relative_to(self.folder).as_posix()}" for path in wanted]
        over = {"student": self.student, "prompt": self.prompt_file, "policy": self.policy_file, "tiny": self.tiny_file}
        lines += [f"{file_sha256(path)} --{what}" for what, path in over.items() if path is not None]
        return text_sha256(lines)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: it is missing or no JSON object.
    """
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing", _LAYOUT) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} is not a JSON object")
    return data


def read_safetensors(path: Path) -> Tensors:
    """All tensors of a file.

    Raises:
        InputError: it cannot be read.
    """
    tensor_places(path)  # says what is wrong with the file better than the library does
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path} is not a readable safetensors file: {error}") from error


def _indexed(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise InputError(f"{index} has no weight_map of file names", "copy the checkpoint again")
    files = [index.parent / name for name in sorted(set(names))]
    for file in files:
        if not file.is_file():
            count = names.count(file.name)
            raise InputError(f"{file} is missing: {count} tensors of {index.name} lie there", "copy the shard")
    return files


def _read_pt(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, and its words advise to open the file unsafely
        raise InputError(
            f"{path} is not a tensor that can be read safely: it is damaged, or holds more than tensors ({type(error).__name__})",
            "save the embedding alone: torch.save(prompt_embeds, 'prompt_embeds.pt')",
        ) from error
    return loaded


def load_strictly(module: nn.Module, tensors: Tensors, where: str) -> None:
    """Fill a module with float32 copies of exactly its tensors.

    Raises:
        InputError: a tensor is missing, unexpected, or of another shape; the first few are named.
    """
    places = {
        name: TensorPlace(Path(where), name, value.dtype, tuple(value.shape), 0) for name, value in tensors.items()
    }
    match("", where, shapes_of(module), [places]).require(
        remedy="the checkpoint must be of the preset's sizes (--preset takes a JSON file too; see docs/checkpoint.md)"
    )
    module.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
