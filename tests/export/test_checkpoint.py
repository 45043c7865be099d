"""Checkpoints: what is read, what is refused and with which words."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.support.presets import PUBLISHED, SMALL
from videoscene_rt import InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.checkpoint import Checkpoint, load_strictly
from videoscene_rt.export.models import Models, build_models
from videoscene_rt.export.policy import ConstantPolicy, DDPNet
from videoscene_rt.export.student import transformer_config
from videoscene_rt.export.tensor_source import dtype_name


def write_checkpoint(folder: Path, preset: Preset, seed: int = 3, dtype: torch.dtype = torch.float32) -> Models:
    """A checkpoint with seeded weights, sharded in two, in diffusers' layout; and the models it was made from."""
    models = build_models(preset, None, seed, None)
    (folder / "transformer").mkdir(parents=True)
    config = {key: value for key, value in transformer_config(preset).items() if value is not None}
    (folder / "transformer" / "config.json").write_text(json.dumps(config))
    tensors = {key: tensor.to(dtype).contiguous() for key, tensor in models.transformer.state_dict().items()}
    keys = sorted(tensors)
    for number, part in enumerate((keys[::2], keys[1::2]), 1):
        name = f"diffusion_pytorch_model-{number:05d}-of-00002.safetensors"
        save_file({key: tensors[key] for key in part}, folder / "transformer" / name)
    autoencoder = {key: tensor.to(dtype) for key, tensor in models.autoencoder.state_dict().items()}
    if preset.autoencoder.kind == "tiny":
        save_file(autoencoder, folder / "tiny_autoencoder.safetensors")
    else:
        (folder / "vae").mkdir()
        save_file(autoencoder, folder / "vae" / "diffusion_pytorch_model.safetensors")
    policy = {key: tensor.to(dtype) for key, tensor in models.policy.state_dict().items()}
    save_file(policy, folder / "policy.safetensors")
    torch.save(models.prompt.to(dtype), folder / "prompt_embeds.pt")
    return models


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "checkpoint", SMALL)
    return tmp_path / "checkpoint"


def load(folder: Path, preset: Preset = SMALL) -> Models:
    return build_models(preset, Checkpoint.open(folder), 0, None)


@pytest.mark.parametrize("preset", [SMALL, PUBLISHED], ids=["tiny", "published"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_tensor_arrives(tmp_path: Path, preset: Preset, dtype: torch.dtype) -> None:
    made = write_checkpoint(tmp_path / "c", preset, dtype=dtype)
    read = load(tmp_path / "c", preset)
    for name in ("transformer", "autoencoder", "policy"):
        expected, found = getattr(made, name).state_dict(), getattr(read, name).state_dict()
        assert expected.keys() == found.keys()
        for key, tensor in expected.items():
            assert torch.equal(found[key], tensor.to(dtype).float()), key
    assert torch.equal(read.prompt, made.prompt.to(dtype).float())
    assert set(read.dtypes.values()) == {str(dtype).removeprefix("torch.")}


def test_without_a_policy_it_is_constant_near_the_published_timestep(folder: Path) -> None:
    (folder / "policy.safetensors").unlink()
    policy = load(folder).policy
    assert isinstance(policy, ConstantPolicy)
    assert int(policy(torch.zeros(SMALL.latent_shape))[0]) == 499  # of 99, 499 and 899 the nearest to 459
    assert isinstance(build_models(SMALL, None, 0, None).policy, DDPNet)


def test_the_prompt_may_be_safetensors_without_a_batch(folder: Path) -> None:
    (folder / "prompt_embeds.pt").unlink()
    prompt = torch.arange(64, dtype=torch.float16).reshape(4, 16)
    save_file({"prompt_embeds": prompt}, folder / "prompt_embeds.safetensors")
    assert torch.equal(load(folder).prompt, prompt.float()[None])


class Bomb:
    """A pickle that leaves a file behind if it is ever executed."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def test_no_pickle_is_executed(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    (folder / "prompt_embeds.pt").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(InputError, match=r"prompt_embeds\.pt is not a tensor that can be read safely"):
        load(folder)
    torch.save(Bomb(mark), folder / "prompt_embeds.pt")
    with pytest.raises(InputError, match="safely"):
        load(folder)
    assert not mark.exists()


def test_missing_parts_are_named(folder: Path) -> None:
    for part in ("prompt_embeds.pt", "tiny_autoencoder.safetensors"):
        content = (folder / part).read_bytes()
        (folder / part).unlink()
        with pytest.raises(InputError, match=part.split(".")[0]):
            load(folder)
        (folder / part).write_bytes(content)
    for file in (folder / "transformer").glob("*.safetensors"):
        file.unlink()
    with pytest.raises(InputError, match=r"transformer has no \*\.safetensors") as caught:
        load(folder)
    assert "pickled" in (caught.value.remedy or "")
    with pytest.raises(InputError, match="no such folder"):
        Checkpoint.open(folder / "nothing")


def test_a_missing_shard_is_told_by_its_tensors(folder: Path) -> None:
    next(iter((folder / "transformer").glob("*00002-of*"))).unlink()
    with pytest.raises(InputError, match=r"transformer: \d+ tensors are missing: .* and \d+ more"):
        load(folder)


def test_a_tensor_too_many_and_one_of_another_shape() -> None:
    module = torch.nn.Linear(2, 3)
    good = module.state_dict()
    with pytest.raises(InputError, match="1 tensors are unexpected: extra"):
        load_strictly(module, {**good, "extra": torch.zeros(1)}, "here")
    with pytest.raises(InputError, match=r"weight is \[2, 3\], not \[3, 2\]"):
        load_strictly(module, {**good, "weight": torch.zeros(2, 3)}, "here")


def test_the_same_tensor_in_two_shards_is_refused(folder: Path) -> None:
    shard = next(iter((folder / "transformer").glob("*00001-of*")))
    (folder / "transformer" / "again.safetensors").write_bytes(shard.read_bytes())
    with pytest.raises(InputError, match="a second time"):
        load(folder)


def test_a_config_of_other_sizes_is_named(folder: Path) -> None:
    path = folder / "transformer" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "num_attention_heads": 30}))
    with pytest.raises(InputError, match="num_attention_heads is 30; preset small has 1"):
        load(folder)
    path.write_text("{")
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"not json"])
def test_a_damaged_file_is_named(folder: Path, content: bytes) -> None:
    (folder / "policy.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"policy\.safetensors is not a readable safetensors file"):
        load(folder)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (torch.zeros(1, 5, 16), r"\[1, 5, 16\], the preset wants \[1, 4, 16\]"),
        (torch.full((1, 4, 16), float("nan")), "not finite"),
        (torch.zeros(4), "one tensor"),
        (torch.zeros(1, 4, 16, dtype=torch.int32), "one tensor"),
        ({"a": torch.zeros(1, 4, 16)}, "one tensor"),
    ],
)
def test_a_wrong_prompt_is_refused(folder: Path, prompt: object, words: str) -> None:
    torch.save(prompt, folder / "prompt_embeds.pt")
    with pytest.raises(InputError, match=words):
        load(folder)


def test_the_digest_follows_the_contents(folder: Path) -> None:
    first = Checkpoint.open(folder).digest()
    assert Checkpoint.open(folder).digest() == first
    torch.save(torch.ones(1, 4, 16), folder / "prompt_embeds.pt")
    assert Checkpoint.open(folder).digest() != first


def test_mixed_dtypes_count_as_float32() -> None:
    assert dtype_name({torch.float16}) == "float16"
    assert dtype_name([torch.bfloat16, torch.bfloat16]) == "bfloat16"
    assert dtype_name({torch.float16, torch.float32}) == dtype_name({torch.float64}) == dtype_name([]) == "float32"
