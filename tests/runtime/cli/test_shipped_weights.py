"""Which weights a command takes, and what it says of them: a checkpoint, a seed, or the ones that come with the preset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.presets import SMALL
from tests.support.scenes import scene
from tests.support.shipping import ship_nothing, ship_small, small_checkpoint
from videoscene_rt.cli import demo as demo_command
from videoscene_rt.cli.main import main
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.export import bundle_export, presets
from videoscene_rt.export.bundle_export import ExportRequest
from videoscene_rt.export.trained import Shipped
from videoscene_rt.pictures.report import RunReport

Capture = pytest.CaptureFixture[str]


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shipped:
    return ship_small(tmp_path / "trained", monkeypatch)


@pytest.fixture
def asked(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> list[ExportRequest]:
    """What an export was asked for, which is not done."""
    requests: list[ExportRequest] = []

    def export(request: ExportRequest, *told: object) -> Any:
        requests.append(request)
        return Bundle.open(small_bundle).manifest

    monkeypatch.setattr(bundle_export, "export_bundle", export)
    return requests


def test_a_checkpoint_comes_before_a_seed_and_a_seed_before_the_preset_s_own(
    weights: Shipped, asked: list[ExportRequest], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text(SMALL.model_copy(update={"name": "tiny"}).model_dump_json())
    other = tmp_path / "other"
    small_checkpoint(other, seed=2)
    expected: list[tuple[list[object], int, Path | None]] = [
        ([], 0, weights.folder),
        (["--preset", "tiny"], 0, weights.folder),
        (["--point-radius", 2, "--rounding", "bfloat16", "--noise-timestep", 500], 0, weights.folder),
        (["--seed", 0], 0, None),
        (["--seed", 5], 5, None),
        (["--preset", "tiny", "--checkpoint", other], 0, other),
        (["--preset", "tiny", "--checkpoint", other, "--seed", 5], 5, other),
        (["--preset", mine], 0, None),
        (["--preset", mine, "--checkpoint", other], 0, other),
    ]
    for words, seed, checkpoint in expected:
        assert run("export", "--out", tmp_path / "a.bundle", *words) == 0
        request = asked.pop()
        assert (request.seed, request.checkpoint) == (seed, checkpoint), words


@pytest.mark.parametrize("option", ["--student", "--prompt-embeds", "--policy"])
def test_a_file_does_not_go_over_weights_that_nobody_named(
    weights: Shipped, tmp_path: Path, capsys: Capture, option: str
) -> None:
    """Whoever forgets --checkpoint means another student than the one that comes with tiny."""
    assert run("export", "--out", tmp_path / "a.bundle", option, weights.folder / "policy.safetensors") == 2
    assert f"{option} goes over a checkpoint, and none was given" in capsys.readouterr().err


def test_a_preset_that_comes_with_none_has_untrained_ones(
    asked: list[ExportRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    ship_nothing(tmp_path / "trained", monkeypatch)
    assert run("export", "--out", tmp_path / "a.bundle") == 0
    assert (asked[0].seed, asked[0].checkpoint) == (0, None)
    assert "untrained (made from a seed)" in capsys.readouterr().out


@pytest.mark.slow
def test_every_command_says_which_weights_there_are(
    weights: Shipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """The demo's whole way, with small weights in place of the trained ones; then the other commands on its bundle."""
    monkeypatch.setattr("videoscene_rt.scenes.middlebury.demo_scene", lambda: (scene(), "a room"))
    out, words = tmp_path / "o", f"trained, those that come with preset tiny: checkpoint {weights.sha256}"
    bundle = out / "tiny.bundle"
    assert run("demo", "--out", out) == 0
    assert "untrained" not in capsys.readouterr().out
    report = RunReport.model_validate_json((out / "report.json").read_bytes())
    assert report.bundle.weights == words
    assert not any("untrained" in note for note in report.notes)
    provenance = Bundle.open(bundle).manifest.provenance
    assert (provenance.shipped_with, provenance.checkpoint_sha256) == ("tiny", weights.sha256)

    assert run("inspect", bundle) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "untrained" not in said
    assert "trained, those that come with preset tiny" in said
    assert run("inspect", bundle, "--json") == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["shipped_with"] == "tiny"

    assert demo_command._usable(bundle) is not None
    ship_other(tmp_path / "trained", "f" * 64)
    assert demo_command._usable(bundle) is None, "the project has other weights now"
    ship_other(tmp_path / "trained", None)
    assert demo_command._usable(bundle) is None, "or none"


def ship_other(folder: Path, digest: str | None) -> None:
    (folder / "shipped.json").write_text(json.dumps({} if digest is None else {"tiny": digest}))


def test_an_untrained_bundle_is_not_the_demo_s_once_weights_are_shipped(
    small_bundle: Path, weights: Shipped, tmp_path: Path
) -> None:
    assert presets.load_preset("tiny") == SMALL
    assert demo_command._usable(small_bundle) is None
    ship_other(tmp_path / "trained", None)
    assert demo_command._usable(small_bundle) is not None


@pytest.mark.parametrize("command", [["export", "--out"], ["demo", "--out"]], ids=["export", "demo"])
def test_damaged_weights_end_a_command_in_one_line_and_a_remedy(
    weights: Shipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, command: list[str]
) -> None:
    monkeypatch.setattr("videoscene_rt.scenes.middlebury.demo_scene", lambda: (scene(), "a room"))
    (weights.folder / "policy.safetensors").unlink()
    assert run(*command, tmp_path / "o") == 3
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("exporting ")]
    assert len(said) == 2
    assert "error: the weights of preset tiny are damaged" in said[0]
    assert "--seed 0 for untrained weights" in said[1]
    assert not list(tmp_path.glob("o/*"))


def test_an_export_says_that_the_weights_are_the_preset_s(
    weights: Shipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_bundle: Path, capsys: Capture
) -> None:
    made = Bundle.open(small_bundle).manifest
    own = {"weights": "checkpoint", "shipped_with": "tiny", "checkpoint_sha256": weights.sha256}
    manifest = made.model_copy(update={"provenance": made.provenance.model_copy(update=own)})
    monkeypatch.setattr(bundle_export, "export_bundle", lambda request, *told: manifest)
    assert run("export", "--out", tmp_path / "a.bundle") == 0
    said = capsys.readouterr().out
    assert f"weights: trained, those that come with preset tiny: checkpoint {weights.sha256}" in said
    assert "untrained" not in said
