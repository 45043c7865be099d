"""Making a run's weights those of its preset: checkpoint, card, digest and records in their places, or words why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.presets import SMALL
from tests.support.shipping import ship_nothing, small_checkpoint
from videoscene_rt import InputError
from videoscene_rt.export import trained
from videoscene_rt.export.distill.recipe import STAGES, Recipe
from videoscene_rt.export.trained import ship, shipped
from videoscene_rt.export.trained.opening import open_shipped

MEANS = {
    "psnr": {"whole": 21.5, "holes": 20.25, "outside": 23.0},
    "ssim": {"whole": 0.5, "holes": None, "outside": 0.75},
}
PART = {
    "clips": 2, "coarse": MEANS, "trials": {"policy, 1 step": MEANS}, "chosen": {"100": 2, "500": 0},
    "gain_in_holes_db": 4.0, "gain_outside_db": 0.5, "best_constant": "constant 100",
    "policy_over_best_constant_db": 0.1, "policy_over_best_constant_by_error_db": 0.1,
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What train and evaluate leave, with `SMALL` as one of the project's presets, which ships nothing yet."""
    ship_nothing(tmp_path / "trained", monkeypatch)
    real = ship.load_preset
    monkeypatch.setattr(ship, "load_preset", lambda name: SMALL if name == "small" else real(name))
    monkeypatch.setattr(ship, "preset_names", lambda: ("small",))
    folder = tmp_path / "run"
    write_run(folder, seed=1)
    return folder


def write_run(folder: Path, seed: int) -> str:
    digest = small_checkpoint(folder / "checkpoint", seed)
    size = sum(path.stat().st_size for path in (folder / "checkpoint").rglob("*.safetensors"))
    record = {
        "preset": SMALL.model_dump(mode="json"),
        "recipe": Recipe(seed=seed, steps=(1, 2, 3, 4, 5, 6)).to_json(),
        "seconds": dict.fromkeys(STAGES, 7.0),
        "weights_bytes": size,
        "parameters": {"transformer": 1000, "autoencoder": 1000, "policy": 1000},
        "device": "a device", "torch": "2", "python": "3",
    }  # fmt: skip
    evaluation = {
        "preset": "small",
        "checkpoint_sha256": digest,
        "seed": 0,
        "scenes": 2,
        "results": {"held-out scenes": PART},
    }
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "log.jsonl").write_text("{}\n")
    (folder / "evaluation").mkdir(exist_ok=True)
    (folder / "evaluation" / "evaluation.json").write_text(json.dumps(evaluation))
    return digest


def command(run: Path, *more: object) -> list[str]:
    return ["--run", str(run), "--evaluation", str(run / "evaluation"), *map(str, more)]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_weights_card_digest_and_records_are_put_into_their_places(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shipped("small") is None
    assert ship.main(command(run, "--records", tmp_path / "records")) == 0
    weights = shipped("small")
    assert weights is not None
    assert weights.sha256 in capsys.readouterr().out
    assert open_shipped(weights).folder == trained.FOLDER / "small"
    found = files(weights.folder)
    card = found.pop("README.md").decode()
    assert found == files(run / "checkpoint")
    for words in (
        "| policy, 1 step | 21.50 | 20.25 | 23.00 | 0.500 | – | 0.750 |",
        "| seed | 1 |",
        "a device",
        "leap 5",
    ):
        assert words in card
    expected = {name: (run / name).read_bytes() for name in ("record.json", "log.jsonl")}
    assert files(tmp_path / "records") == {**expected, **files(run / "evaluation")}
    assert {path.name for path in trained.FOLDER.iterdir()} == {"small", "shipped.json"}
    for path in weights.folder.rglob("*.safetensors"):
        assert path.stat().st_mode == (weights.folder / "README.md").stat().st_mode, "whoever may read one may read all"


def test_other_weights_take_the_place_of_the_first_ones(run: Path, tmp_path: Path) -> None:
    first = ship.ship(run, run / "evaluation")
    (trained.FOLDER / trained.TABLE).write_text(json.dumps({"edge": "0" * 64, "small": first.sha256}))
    (first.folder / "left over.json").write_text("{}")
    digest = write_run(tmp_path / "other", seed=2)
    assert ship.ship(tmp_path / "other", tmp_path / "other" / "evaluation").sha256 == digest != first.sha256
    assert trained.read_table() == {"edge": "0" * 64, "small": digest}
    assert open_shipped(first.__class__("small", first.folder, digest)).digest() == digest


def change_evaluation(run: Path, **values: Any) -> None:
    path = run / "evaluation" / "evaluation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: shutil.rmtree(run / "checkpoint"), "is not a checkpoint: there is no such folder"),
        (lambda run: (run / "checkpoint" / "policy.safetensors").unlink(), "policy.safetensors"),
        (lambda run: (run / "checkpoint" / "preset.json").write_text("{}"), "preset.json"),
        (lambda run: (run / "checkpoint" / "preset.json").write_text(
            SMALL.model_copy(update={"max_points": 7}).model_dump_json()), "is not the project's preset of that name"),
        (lambda run: (run / "checkpoint" / "preset.json").write_text(
            SMALL.model_copy(update={"name": "mine"}).model_dump_json()), "mine is not the project's preset"),
        (lambda run: change_evaluation(run, checkpoint_sha256="0" * 64), "is not of"),
        (lambda run: change_evaluation(run, checkpoint_sha256=None), "is not of"),
        (lambda run: (run / "evaluation" / "evaluation.json").unlink(), "cannot be read"),
        (lambda run: (run / "record.json").write_text("[]"), "is not a JSON object"),
    ],
)  # fmt: skip
def test_what_is_not_a_whole_run_of_the_preset_changes_nothing(
    run: Path, capsys: pytest.CaptureFixture[str], spoil: Any, said: str
) -> None:
    spoil(run)
    assert ship.main(command(run)) == 2
    assert said in capsys.readouterr().err
    assert files(trained.FOLDER) == {"shipped.json": b"{}"}


def test_weights_that_are_too_large_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ship, "MOST_BYTES", 1 << 10)
    with pytest.raises(InputError, match="MiB, more than"):
        ship.ship(run, run / "evaluation")
    assert files(trained.FOLDER) == {"shipped.json": b"{}"}
