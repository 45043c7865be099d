"""The picture of a training log: what is in the log is in the picture, to scale; other files are refused."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from videoscene_rt.export.distill.curve import bands, losses, main, validation

LINES = [
    {"seconds": 0.5, "stage": "begin"},
    {"seconds": 10.0, "stage": "clips", "scenes": 8},
    {"seconds": 20.0, "stage": "autoencoder", "step": 0, "loss": 1.0},
    {"seconds": 40.0, "stage": "autoencoder", "step": 100, "loss": 0.1},
    {"seconds": 50.0, "stage": "autoencoder", "validation_psnr": 20.0},
    {"seconds": 60.0, "stage": "leap", "latent": 0.05, "pixels": 0.2, "consistency": 0.0},
    {"seconds": 70.0, "stage": "leap", "validation_psnr_at_100": [1.0, 2.0, 3.0], "validation_psnr_at_1000": [7.0, 8.0, 9.0],
     "validation_psnr_at_300": [4.0, 5.0, 6.0]},
    {"seconds": 71.0, "stage": "end"},
]  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


def test_every_loss_is_a_curve_over_the_seconds() -> None:
    found = {curve.name: curve.points for curve in losses(LINES)}
    assert found == {
        "autoencoder": ((20.0, 1.0), (40.0, 0.1)),
        "leap: latent": ((60.0, 0.05),),
        "leap: pixels": ((60.0, 0.2),),
    }


def test_validation_is_of_the_middle_candidate() -> None:
    found = {curve.name: curve.points for curve in validation(LINES)}
    assert found["autoencoder, clean clips"] == ((50.0, 20.0),)
    assert found["one step at 300, holes"] == ((70.0, 5.0),)


def test_stages_follow_one_another() -> None:
    assert bands(LINES) == [("clips", 0.5, 10.0), ("autoencoder", 10.0, 50.0), ("leap", 50.0, 70.0)]


def test_points_are_drawn_to_scale(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out.svg"
    log.write_text("\n".join(json.dumps(line) for line in LINES))
    assert main([str(log), str(out)]) == 0
    root = ElementTree.parse(out).getroot()
    line = next(found for found in root.iter(f"{SVG}polyline") if " " in found.get("points", ""))
    (x0, y0), (x1, y1) = ([float(part) for part in pair.split(",")] for pair in line.get("points", "").split())
    plot = next(found for found in root.iter(f"{SVG}line"))
    left, right = float(plot.get("x1", "")), float(plot.get("x2", ""))
    assert (x0 - left) / (right - left) == pytest.approx(20 / 70, abs=1e-3)
    assert (x1 - left) / (right - left) == pytest.approx(40 / 70, abs=1e-3)
    assert y1 > y0  # the smaller loss is lower


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", '{"stage": "leap"}'])
def test_other_files_are_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(text)
    assert main([str(log), str(tmp_path / "out.svg")]) == 2
    assert "log" in capsys.readouterr().err
    assert not (tmp_path / "out.svg").exists()
