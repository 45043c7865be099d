"""The deployed pipeline on held-out scenes: the same scenes as the training's, its figures, its tables."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.presets import SMALL
from videoscene_rt import Pipeline
from videoscene_rt.export.distill.deployed import Case, Row, held_out, main, run_cases
from videoscene_rt.export.distill.deployed_table import markdown, summary
from videoscene_rt.export.distill.figures import figures
from videoscene_rt.export.distill.procedural import ProceduralClips

SOURCE = ProceduralClips(SMALL)


@pytest.fixture(scope="module")
def seeds() -> list[int]:
    """Held-out scenes whose clouds the small preset takes whole."""
    some = list(SOURCE.held_out_seeds()[:8])
    fitting = [
        seed for seed, (scene, _) in zip(some, SOURCE.scenes(some), strict=True) if len(scene.xyz) <= SMALL.max_points
    ]
    return fitting[:2]


@pytest.fixture(scope="module")
def cases(seeds: list[int]) -> list[Case]:
    return held_out(SOURCE, seeds)


@pytest.fixture(scope="module")
def rows(small_bundle: Path, cases: list[Case]) -> list[Row]:
    with Pipeline.load(small_bundle) as pipeline:
        return run_cases(pipeline, cases, None)


def test_the_runtime_draws_the_coarse_frames_that_training_saw(seeds: list[int], rows: list[Row]) -> None:
    clips = SOURCE.clips(seeds)
    for row, coarse, clean, holes in zip(rows, clips.coarse, clips.clean, clips.holes, strict=True):
        expected = figures(coarse, clean, holes)
        assert row.coarse.psnr == pytest.approx(expected.psnr, abs=1e-6)
        assert row.coarse.ssim == pytest.approx(expected.ssim, abs=1e-6)


def test_a_precision_is_compared_with_the_first_one(small_bundle: Path, cases: list[Case], rows: list[Row]) -> None:
    with Pipeline.load(small_bundle, seed=1) as pipeline:  # another noise stands for another precision
        others = run_cases(pipeline, cases, rows)
    for row, other in zip(rows, others, strict=True):
        assert row.against_reference == 99.0
        error = np.square(row.frames.numpy().astype(float) - other.frames.numpy()).mean()
        assert other.against_reference == pytest.approx(10 * math.log10(255**2 / error), abs=1e-3)
    found = summary({"fp32": rows, "other": others})
    losses = [a.refined.psnr["whole"] - b.refined.psnr["whole"] for a, b in zip(rows, others, strict=True)]
    assert found["precisions"]["fp32"]["loss_db"] == {"mean": 0.0, "most": 0.0}
    assert found["precisions"]["other"]["loss_db"]["mean"] == pytest.approx(sum(losses) / 2, abs=1e-4)
    assert found["precisions"]["other"]["loss_db"]["most"] == pytest.approx(max(losses), abs=1e-4)


def test_only_known_frames_count(small_bundle: Path, cases: list[Case], rows: list[Row]) -> None:
    ends = (0, SMALL.frames - 1)
    part = Case(cases[0].scene, cases[0].clean[list(ends)], ends)
    with Pipeline.load(small_bundle) as pipeline:
        (row,) = run_cases(pipeline, [part], None)
    assert torch.equal(row.frames, rows[0].frames)
    found = figures(row.frames[list(ends)], part.clean, torch.zeros(2, SMALL.height, SMALL.width, dtype=torch.uint8))
    assert row.refined.psnr["whole"] == pytest.approx(found.psnr["whole"])


def test_the_program_writes_both_files(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoscene_rt.export.distill.deployed._motorcycle", lambda frames, bundle: None)
    told = ["--bundle", str(small_bundle), "--out", str(tmp_path), "--precisions", "fp32", "--scenes", "1"]
    assert main(told) == 0
    result = json.loads((tmp_path / "deployed.json").read_text())
    assert result["results"]["held-out scenes"]["cases"] == 1
    assert (tmp_path / "deployed.md").read_text() == markdown(result)


def test_a_precision_without_engines_is_said(
    small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--bundle", str(small_bundle), "--out", str(tmp_path), "--precisions", "int8", "--scenes", "1"]
    assert main(told) == 3
    assert "vsrt build" in capsys.readouterr().err
