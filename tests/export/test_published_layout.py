"""Checkpoints as they come: sizes from the folder's own files, a student over it, and everything that does not match said."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.checkpoints import INDEX, SHARDS, edit, write_published
from tests.support.presets import PUBLISHED, SMALL
from videoscene_rt import InputError
from videoscene_rt.engines.preset import Preset, ScheduleSettings
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.config_preset import check_configs, checkpoint_preset
from videoscene_rt.export.learned_positions import NAME as POSITIONS
from videoscene_rt.export.learned_positions import cut
from videoscene_rt.export.matching import Matched
from videoscene_rt.export.models import Models
from videoscene_rt.export.presets import load_preset, resized
from videoscene_rt.export.safetensors_file import tensor_places
from videoscene_rt.export.sources import Sources, weight_sources


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Models]:
    folder = tmp_path_factory.mktemp("published") / "folder"
    return folder, write_published(folder, PUBLISHED)


@pytest.fixture
def made(written: tuple[Path, Models], tmp_path: Path) -> tuple[Path, Models]:
    """A folder to change, and the models that it was made from, not to be changed."""
    folder = tmp_path / "CogVideoX-small I2V"
    shutil.copytree(written[0], folder)
    return folder, written[1]


def sources(folder: Path, preset: Preset = PUBLISHED, cut_positions: bool = False, **over: Any) -> Sources:
    return weight_sources(preset, Checkpoint.open(folder, **over), 0, None, cut_positions)


def first_block(models: Models) -> dict[str, torch.Tensor]:
    """Tensors of a student that was trained further: everything of the first block, changed."""
    tensors = models.transformer.state_dict()
    return {key: tensor.half() * 2 for key, tensor in tensors.items() if key.startswith("transformer_blocks.0.")}


def test_the_sizes_come_from_the_folders_own_files(made: tuple[Path, Models]) -> None:
    folder, _ = made
    published = load_preset("videoscene-5b")
    assert checkpoint_preset(Checkpoint.open(folder)) == PUBLISHED.model_copy(
        update={
            "name": "CogVideoX-small-I2V",
            "max_points": published.max_points,
            "policy": published.policy,
            "renderer": published.renderer,
        }
    )
    edit(folder / "scheduler" / "scheduler_config.json", snr_shift_scale=3.0)
    assert checkpoint_preset(Checkpoint.open(folder)).schedule == ScheduleSettings(snr_shift=3.0)


def test_a_preset_beside_the_weights_says_it_all(made: tuple[Path, Models]) -> None:
    folder, _ = made
    (folder / "preset.json").write_text(PUBLISHED.model_dump_json())
    assert checkpoint_preset(Checkpoint.open(folder)) == PUBLISHED


def test_the_tiny_autoencoders_widths_are_its_files(made: tuple[Path, Models], tmp_path: Path) -> None:
    folder, _ = made
    (folder / "vae").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"neither vae/ nor tiny_autoencoder\.safetensors"):
        checkpoint_preset(Checkpoint.open(folder))
    from tests.export.test_checkpoint import write_checkpoint

    write_checkpoint(tmp_path / "tiny", SMALL)
    (tmp_path / "tiny" / "tiny_autoencoder.safetensors").rename(folder / "tiny_autoencoder.safetensors")
    assert checkpoint_preset(Checkpoint.open(folder)).autoencoder == SMALL.autoencoder


@pytest.mark.parametrize(
    ("file", "fields", "words"),
    [
        ("transformer/config.json", {"in_channels": 16}, "in_channels is 16; preset .* has 32"),
        ("transformer/config.json", {"patch_size_t": 2}, "patch_size_t is 2; preset .* has None"),
        ("transformer/config.json", {"use_learned_positional_embeddings": False}, "use_learned_pos.* is False"),
        ("transformer/config.json", {"sample_frames": 81 + 3}, r"sizes: .*frames must be 8k\+1"),
        ("transformer/config.json", {"num_layers": "many"}, "student.blocks: "),
        ("vae/config.json", {"latent_channels": 4}, "latent_channels is 4"),
        ("vae/config.json", {"use_quant_conv": True}, "use_quant_conv is True"),
        ("scheduler/scheduler_config.json", {"prediction_type": "epsilon"}, "prediction_type is epsilon"),
        ("scheduler/scheduler_config.json", {"beta_start": 0.001}, "beta_start is 0.001"),
    ],
)
def test_another_architecture_is_refused_by_its_field(
    made: tuple[Path, Models], file: str, fields: dict[str, Any], words: str
) -> None:
    edit(made[0] / file, **fields)
    with pytest.raises(InputError, match=words) as caught:
        checkpoint_preset(Checkpoint.open(made[0]))
    assert file in caught.value.problem
    assert "\n" not in caught.value.problem


def test_a_preset_that_is_not_the_checkpoints_is_refused(made: tuple[Path, Models]) -> None:
    folder, _ = made
    edit(folder / "scheduler" / "scheduler_config.json", snr_shift_scale=3.0)
    with pytest.raises(InputError, match=r"snr_shift_scale is 3\.0; preset published has 1\.0"):
        check_configs(PUBLISHED, Checkpoint.open(folder))


def test_every_tensor_is_read_where_it_lies(made: tuple[Path, Models]) -> None:
    folder, models = made
    found = sources(folder)
    assert found.dtypes() == {"student": "bfloat16", "autoencoder": "bfloat16"}
    assert found.policy is None
    assert torch.equal(found.prompt, models.prompt.bfloat16().float())
    for source, module in ((found.student, models.transformer), (found.autoencoder, models.autoencoder)):
        for name, tensor in module.state_dict().items():
            assert torch.equal(source.read(name), tensor.bfloat16()), name
    files = [file.name for matched in found.matched for file in matched.files()]
    assert files.count("diffusion_pytorch_model.safetensors") == 1
    assert {SHARDS.format(1), SHARDS.format(2)} <= set(files)


@pytest.mark.parametrize("prefix", ["", "module.", "model.transformer."])
def test_a_students_tensors_go_over_the_folders(made: tuple[Path, Models], tmp_path: Path, prefix: str) -> None:
    """Only some, as ``load_state_dict(strict=False)`` takes them, and named as a trainer that wraps the model names them."""
    folder, models = made
    over = first_block(models)
    save_file({prefix + key: tensor for key, tensor in over.items()}, tmp_path / "model.safetensors")
    found = sources(folder, student=tmp_path / "model.safetensors")
    for name, tensor in models.transformer.state_dict().items():
        assert torch.equal(found.student.read(name), over.get(name, tensor.bfloat16())), name
    assert found.student.dtype == "float32"  # float16 over bfloat16: neither holds the other
    assert found.matched[0].files()[tmp_path / "model.safetensors"] == len(over)
    assert not any(found.matched[0].counts().values())


def test_what_does_not_match_is_named_and_refused_unless_it_is_accepted(
    made: tuple[Path, Models], tmp_path: Path
) -> None:
    folder, models = made
    over = first_block(models)
    wrong = "transformer_blocks.0.ff.net.2.bias"
    save_file({**over, "lora.up": torch.zeros(2), wrong: torch.zeros(3)}, tmp_path / "model.safetensors")
    shard = folder / "transformer" / SHARDS.format(1)
    tensors = load_file(shard)
    gone = next(key for key in tensors if key not in over)
    save_file({key: tensor for key, tensor in tensors.items() if key != gone}, shard)
    told: list[tuple[Matched, ...]] = []
    for accepted, words in (
        (set(), f"1 tensors are missing: {gone}"),
        ({"missing"}, "1 tensors are unexpected: lora.up in model.safetensors"),
        ({"missing", "unexpected"}, rf"1 tensors are of another shape: {wrong} is \[3\], not \[64\]"),
    ):
        checkpoint = Checkpoint.open(folder, tmp_path / "model.safetensors", accepted=frozenset(accepted))
        with pytest.raises(InputError, match=words) as caught:
            weight_sources(PUBLISHED, checkpoint, 0, on_matched=told.append)
        assert "--accept" in (caught.value.remedy or "")
    assert [matched.counts() for matched in told[0]] == [
        {"missing": 1, "unexpected": 1, "misshapen": 1},
        {"missing": 0, "unexpected": 0, "misshapen": 0},
    ]
    everything = frozenset({"missing", "unexpected", "misshapen"})
    found = sources(folder, student=tmp_path / "model.safetensors", accepted=everything)
    base = models.transformer.state_dict()
    assert torch.equal(found.student.read(wrong), base[wrong].bfloat16()), "the folder's is kept"
    seeded = weight_sources(PUBLISHED, None, 0).student.read(gone)
    assert torch.equal(found.student.read(gone).float(), seeded), "what no file has is made from the seed"


def test_a_shard_that_the_index_names_and_is_not_there(made: tuple[Path, Models]) -> None:
    (made[0] / "transformer" / SHARDS.format(2)).unlink()
    with pytest.raises(
        InputError, match=r"00002-of-00002\.safetensors is missing: \d+ tensors of .*index\.json lie there"
    ):
        sources(made[0])


def test_a_file_that_the_index_does_not_name_is_not_read(made: tuple[Path, Models]) -> None:
    save_file({"x": torch.zeros(1)}, made[0] / "transformer" / "another.safetensors")
    assert not any(sources(made[0]).matched[0].counts().values())


@pytest.mark.parametrize("weight_map", [None, [], {"a": "../../etc/passwd"}, {"a": 3}])
def test_an_index_that_is_none(made: tuple[Path, Models], weight_map: Any) -> None:
    edit(made[0] / "transformer" / INDEX, weight_map=weight_map)
    with pytest.raises(InputError, match="has no weight_map of file names"):
        sources(made[0])


def test_the_prompt_and_the_policy_may_lie_elsewhere(made: tuple[Path, Models], tmp_path: Path) -> None:
    folder, models = made
    (folder / "prompt_embeds.pt").rename(tmp_path / "elsewhere.pt")
    with pytest.raises(InputError, match=r"has no prompt_embeds\.pt") as caught:
        sources(folder)
    assert "--prompt-embeds" in (caught.value.remedy or "")
    save_file(dict(models.policy.state_dict()), tmp_path / "net.safetensors")
    over = {"prompt_file": tmp_path / "elsewhere.pt", "policy_file": tmp_path / "net.safetensors"}
    found = sources(folder, **over)
    assert found.policy is not None
    assert torch.equal(found.policy.read("score.weight"), models.policy.state_dict()["score.weight"])
    preset = checkpoint_preset(Checkpoint.open(folder, policy_file=tmp_path / "net.safetensors"))
    assert preset.policy.channels == PUBLISHED.policy.channels
    with pytest.raises(InputError, match="there is no student at .*nothing"):
        sources(folder, student=tmp_path / "nothing")


class Bomb:
    """A pickle that leaves a file behind if it is ever executed."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model.bin", "pytorch_model.ckpt"])
@pytest.mark.parametrize("how", ["pickle", "torch", "zip"])
def test_a_pickle_is_never_opened(made: tuple[Path, Models], tmp_path: Path, name: str, how: str) -> None:
    mark, file = tmp_path / "executed", tmp_path / name
    if how == "pickle":
        file.write_bytes(pickle.dumps(Bomb(mark)))
    elif how == "torch":
        torch.save(Bomb(mark), file)
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Bomb(mark)))
    for over in ("student", "policy_file", "prompt_file"):
        with pytest.raises(InputError) as caught:
            sources(made[0], **{over: file})
        assert name in caught.value.problem
        assert "\n" not in caught.value.problem
        assert "weights_only" not in str(caught.value)
    assert not mark.exists()


def test_weights_that_are_pickled_alone_are_refused(made: tuple[Path, Models]) -> None:
    folder = made[0] / "transformer"
    for file in (*folder.glob("*.safetensors"), folder / INDEX):
        file.unlink()
    torch.save({"a": torch.zeros(1)}, folder / "diffusion_pytorch_model.bin")
    with pytest.raises(InputError, match=r"transformer has no \*\.safetensors") as caught:
        sources(made[0])
    assert "pickled weights (.bin, .ckpt) are not read" in (caught.value.remedy or "")


def test_fewer_frames_take_the_first_positions_and_the_middle_of_the_picture(made: tuple[Path, Models]) -> None:
    folder, models = made
    smaller = resized(PUBLISHED, 9, None, 32)
    with pytest.raises(InputError, match="sample_width is 6; preset published has 4"):
        sources(folder, smaller)
    found = sources(folder, smaller, cut_positions=True).student
    learned = models.transformer.state_dict()[POSITIONS].bfloat16()
    places = [4 + (frame * 2 + row) * 3 + column for frame in range(3) for row in range(2) for column in (0, 1)]
    assert torch.equal(found.read(POSITIONS), learned[:, [0, 1, 2, 3, *places]])
    other = "transformer_blocks.1.attn1.to_q.weight"
    assert torch.equal(found.read(other), models.transformer.state_dict()[other].bfloat16())
    with pytest.raises(InputError, match="has learned positions for 17 frames of 32×48; 25 frames of 32×48 have none"):
        sources(folder, resized(PUBLISHED, 25, None, None), cut_positions=True)


def test_positions_are_cut_by_their_place() -> None:
    frames, rows, columns = torch.meshgrid(torch.arange(3), torch.arange(6), torch.arange(5), indexing="ij")
    video = torch.stack((frames, rows, columns), dim=-1).reshape(1, -1, 3)
    text = torch.full((1, 7, 3), -1)
    found = cut(torch.cat((text, video), dim=1), (3, 6, 5), (2, 2, 3))
    assert found[0, :7].eq(-1).all()
    assert found[0, 7:].tolist() == [[f, r, c] for f in (0, 1) for r in (2, 3) for c in (1, 2, 3)]


def test_a_size_that_cannot_be_is_refused_by_its_option() -> None:
    with pytest.raises(InputError, match=r"frames must be 8k\+1"):
        resized(PUBLISHED, 12, None, None)
    with pytest.raises(InputError, match="--height: "):
        resized(PUBLISHED, None, 8, None)


def test_a_value_that_is_not_finite_is_named(made: tuple[Path, Models]) -> None:
    shard = made[0] / "transformer" / SHARDS.format(1)
    tensors = load_file(shard)
    name = next(key for key in tensors if key.endswith("weight"))
    tensors[name].view(-1)[3] = float("nan")
    save_file(tensors, shard)
    with pytest.raises(InputError, match=f"{name} holds values that are not finite"):
        sources(made[0]).student.read(name)


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 7, "does not fit into the file"),
        ({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"\0" * 8, "does not fit into the file"),
        ({"a": {"dtype": "X1", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8, "dtype X1"),
        ({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, b"\0" * 8, "no whole number"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, b"\0" * 12, "does not follow"),
        ({"a": {"dtype": "F32", "shape": [2]}}, b"", "its header lacks 'data_offsets'"),
        ({"a": 3}, b"", "not a readable safetensors file"),
        ({}, b"\0", "its header says"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, header: dict, data: bytes, words: str) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    with pytest.raises(InputError, match=words):
        tensor_places(tmp_path / "a.safetensors")


def test_the_digest_follows_what_goes_over_the_folder(made: tuple[Path, Models], tmp_path: Path) -> None:
    folder, models = made
    digests = [Checkpoint.open(folder).digest()]
    save_file(first_block(models), tmp_path / "model.safetensors")
    digests.append(Checkpoint.open(folder, student=tmp_path / "model.safetensors").digest())
    edit(folder / "scheduler" / "scheduler_config.json", snr_shift_scale=3.0)
    digests.append(Checkpoint.open(folder, student=tmp_path / "model.safetensors").digest())
    assert len(set(digests)) == 3
    (folder / "text_encoder").mkdir()
    (folder / "text_encoder" / "model.safetensors").write_bytes(b"never read")
    assert Checkpoint.open(folder, student=tmp_path / "model.safetensors").digest() == digests[-1]
