"""Weights that come with a preset: found by its name, held to their digest, told in the bundle."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.presets import SMALL
from tests.support.shipping import ship_small, small_checkpoint
from videoscene_rt import BackendError, InputError
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.export import trained
from videoscene_rt.export.bundle_export import ExportRequest, export_bundle
from videoscene_rt.export.trained import Shipped, preset_of, shipped
from videoscene_rt.export.trained.opening import open_shipped, shipped_folder


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shipped:
    return ship_small(tmp_path / "trained", monkeypatch)


def test_a_preset_has_the_weights_that_the_table_names(weights: Shipped) -> None:
    assert shipped("tiny") == weights
    assert open_shipped(weights).digest() == weights.sha256
    for other in ("edge", "tiny.json", str(weights.folder / "preset.json"), "", "small"):
        assert shipped(other) is None


@pytest.mark.parametrize("text", [None, "", "[]", '{"tiny": 3}', "\xff"])
def test_a_table_that_cannot_be_read_is_an_error(weights: Shipped, text: str | None) -> None:
    table = trained.FOLDER / trained.TABLE
    table.unlink() if text is None else table.write_text(text, encoding="latin-1")
    with pytest.raises(BackendError, match=r"shipped\.json") as caught:
        shipped("tiny")
    assert "\n" not in caught.value.problem


def flip_a_byte(folder: Path) -> None:
    path = folder / "tiny_autoencoder.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def change_a_line_ending(folder: Path) -> None:
    path = folder / "transformer" / "config.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def cut(folder: Path) -> None:
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def point_elsewhere(folder: Path) -> None:
    """As a checkout without Git LFS's files has them."""
    (folder / "policy.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")


DAMAGES: list[Callable[[Path], object]] = [
    flip_a_byte,
    change_a_line_ending,
    cut,
    point_elsewhere,
    lambda folder: (folder / "policy.safetensors").unlink(),
    lambda folder: (folder / "prompt_embeds.safetensors").rename(folder / "prompt.safetensors"),
    lambda folder: small_checkpoint(folder, seed=2),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_an_error(weights: Shipped, damage: Callable[[Path], object]) -> None:
    damage(weights.folder)
    with pytest.raises(BackendError, match="the weights of preset tiny are damaged: .* as it was shipped") as caught:
        shipped_folder("tiny")
    assert "\n" not in caught.value.problem
    assert "--seed" in (caught.value.remedy or "")


def test_missing_weights_are_an_error(weights: Shipped, tmp_path: Path) -> None:
    weights.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(BackendError, match="the weights of preset tiny are missing: .*tiny is not there"):
        shipped_folder("tiny")


def test_weights_of_other_sizes_are_an_error(weights: Shipped, tmp_path: Path) -> None:
    other = SMALL.model_copy(update={"student": SMALL.student.model_copy(update={"heads": 2})})
    with pytest.raises(InputError):
        export_bundle(ExportRequest(other, tmp_path / "a.bundle", weights.folder))
    assert not (tmp_path / "a.bundle").exists()


@pytest.mark.slow
def test_a_bundle_says_which_weights_it_has_and_is_the_same_each_time(weights: Shipped, tmp_path: Path) -> None:
    first = export_bundle(ExportRequest(SMALL, tmp_path / "a.bundle", shipped_folder("tiny"))).provenance
    assert (first.weights, first.shipped_with, first.checkpoint_sha256) == ("checkpoint", "tiny", weights.sha256)
    assert set(first.weights_dtype.values()) == {"float16"}
    assert first.source == f"trained, those that come with preset tiny: checkpoint {weights.sha256}"
    # A copy of them, and a seed that says nothing beside a checkpoint: they are known by their digest.
    copy = shutil.copytree(weights.folder, tmp_path / "copy")
    second = export_bundle(ExportRequest(SMALL, tmp_path / "b.bundle", Path(copy), seed=5)).provenance
    assert second.source == first.source
    a, b = Bundle.open(tmp_path / "a.bundle"), Bundle.open(tmp_path / "b.bundle")
    assert a.digest == b.digest
    assert a.manifest.files == b.manifest.files


def test_other_weights_are_not_taken_for_shipped_ones(weights: Shipped, tmp_path: Path) -> None:
    assert preset_of(small_checkpoint(tmp_path / "other", seed=2)) is None
    assert preset_of(weights.sha256) == "tiny"
