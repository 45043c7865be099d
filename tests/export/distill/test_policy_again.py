"""The policy of a run, trained again on scenes that the student has not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.export.distill.presets import QUICK, TEENY, quick_run
from videoscene_rt.export.checkpoint import read_safetensors
from videoscene_rt.export.distill import policy_again
from videoscene_rt.export.distill.checkpoint_files import write_checkpoint
from videoscene_rt.export.distill.stages.clips import make_clips
from videoscene_rt.export.distill.stages.latents import make_latents
from videoscene_rt.export.distill.stages.unseen import unseen


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run's folder, its student untrained."""
    run = quick_run(tmp_path / "run")
    write_checkpoint(run.folder / "checkpoint", TEENY, run.models)
    record = {"recipe": QUICK.to_json(), "preset": TEENY.model_dump(mode="json"), "weights_bytes": 1}
    (run.folder / "record.json").write_text(json.dumps(record))
    return run.folder


def test_unseen_scenes_are_none_of_the_runs(tmp_path: Path) -> None:
    run = quick_run(tmp_path, replace(QUICK, policy_scenes=3, copies=2))
    make_clips(run)
    make_latents(run)
    store, latents = unseen(run)
    assert run.store is not None
    assert len(store) == 3
    assert len(latents) == 6
    for scene in store.clean:
        assert not any(torch.equal(scene, seen) for seen in run.store.clean)
    assert torch.equal(latents.scene.bincount(), torch.tensor([2, 2, 2]))


def test_without_further_scenes_the_runs_own_are_taken(tmp_path: Path) -> None:
    run = quick_run(tmp_path, replace(QUICK, policy_scenes=0))
    make_clips(run)
    make_latents(run)
    assert unseen(run) == (run.store, run.latents)


def test_only_the_policy_changes(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    assert policy_again.main(["--run", str(finished), "--out", str(out), "--scenes", "4", "--steps", "1"]) == 0
    for name in ("transformer/diffusion_pytorch_model.safetensors", "tiny_autoencoder.safetensors"):
        assert (out / "checkpoint" / name).read_bytes() == (finished / "checkpoint" / name).read_bytes()
    before, after = (read_safetensors(folder / "checkpoint" / "policy.safetensors") for folder in (finished, out))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    again = json.loads((out / "record.json").read_text())["policy_again"]
    assert (again["scenes"], again["steps"], again["seed"]) == (4, 1, QUICK.seed)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert any(line.get("unseen_scenes") == 4 for line in lines)


def test_refusals(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert policy_again.main(["--run", str(finished), "--out", str(finished)]) == 2
    assert "is there already" in capsys.readouterr().err
    (finished / "record.json").unlink()
    assert policy_again.main(["--run", str(finished), "--out", str(tmp_path / "new")]) == 2
    assert "cannot be read" in capsys.readouterr().err
