"""A checkpoint of the published layout at any size, made from a seed a tensor at a time: ``python -m tests.support.large_checkpoint DIR``.

At the preset videoscene-5b it takes 11 GiB of disk and less than 1 GiB of memory. `vsrt export --seed 0 --weights-dtype bfloat16`
makes the same numbers, so both bundles must have the same weight files.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tests.support.checkpoints import INDEX, scheduler_config
from videoscene_rt.engines.preset import CogVideoXAutoencoderSizes, Preset
from videoscene_rt.export.presets import load_preset
from videoscene_rt.export.sources import build_autoencoder, weight_sources
from videoscene_rt.export.student import build_transformer, transformer_config
from videoscene_rt.export.tensor_source import TensorSource, shapes_of

SHARD_LIMIT = 5_000_000_000


def write_large(folder: Path, preset: Preset, seed: int = 0) -> None:
    """Write it, in bfloat16, without a policy."""
    assert isinstance(preset.autoencoder, CogVideoXAutoencoderSizes)
    with torch.device("meta"):
        shapes, vae = shapes_of(build_transformer(preset)), shapes_of(build_autoencoder(preset))
    sources = weight_sources(preset, None, seed, seed_dtype="bfloat16")
    shards = _shards(shapes)
    names = [f"diffusion_pytorch_model-{n:05d}-of-{len(shards):05d}.safetensors" for n in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        _write(folder / "transformer" / name, shard, sources.student)
    weight_map = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
    _json(folder / "transformer" / INDEX, {"metadata": {}, "weight_map": weight_map})
    _json(folder / "transformer" / "config.json", transformer_config(preset))
    _write(folder / "vae" / "diffusion_pytorch_model.safetensors", vae, sources.autoencoder)
    _json(folder / "vae" / "config.json", preset.autoencoder.model_dump(exclude={"kind"}, mode="json"))
    _json(folder / "scheduler" / "scheduler_config.json", scheduler_config(preset.schedule.snr_shift))
    torch.save(sources.prompt.bfloat16(), folder / "prompt_embeds.pt")


def _shards(shapes: Mapping[str, tuple[int, ...]]) -> list[dict[str, tuple[int, ...]]]:
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    for name, shape in shapes.items():
        if _nbytes(shape) + sum(map(_nbytes, shards[-1].values())) > SHARD_LIMIT:
            shards.append({})
        shards[-1][name] = shape
    return shards


def _nbytes(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel() * 2


def _write(path: Path, shapes: Mapping[str, tuple[int, ...]], source: TensorSource) -> None:
    header, end = {}, 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + _nbytes(shape)]}
        end += _nbytes(shape)
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in shapes:
            file.write(source.read(name).bfloat16().contiguous().view(-1).view(torch.uint8).numpy().data)


def _json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    write_large(Path(sys.argv[1]), load_preset("videoscene-5b"))
