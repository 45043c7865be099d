"""`vsrt run --stream` and --decoder: what the report says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.scenes import scene
from videoscene_rt.cli.main import main
from videoscene_rt.scenes.scene_folder import save_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save_scene(scene(), tmp_path_factory.mktemp("scene") / "scene"))


def report(bundle: Path, folder: Path, out: Path, *words: str) -> dict[str, Any]:
    assert main(["run", str(bundle), "--scene", str(folder), "--out", str(out), "--threads", "1", *words]) == 0
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


@pytest.mark.parametrize(
    ("decoder", "spans"), [("full", [(0, 9), (9, 17)]), ("tiny", [(0, 1), (1, 5), (5, 9), (9, 13), (13, 17)])]
)
def test_the_report_says_when_the_frames_were_ready(
    both_bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], decoder: str, spans: list[Any]
) -> None:
    found = report(both_bundle, folder, tmp_path / "out", "--stream", "--decoder", decoder)
    assert (found["encoder"], found["decoder"]) == ("full", decoder)
    assert [(chunk["first"], chunk["stop"]) for chunk in found["stream"]] == spans
    times = [chunk["ready_ms"] for chunk in found["stream"]]
    assert times == sorted(times)
    assert 0 < found["first_frames_ms"] == times[0] < times[-1] <= found["timings_ms"]["step"]
    assert found["checks"]["status"] == "ok"
    words = " ".join(capsys.readouterr().out.split())
    assert f"frames ready: {spans[0][1]} after " in words


def test_without_a_stream_the_first_frames_are_there_with_the_last(
    both_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    found = report(both_bundle, folder, tmp_path / "out", "--encoder", "tiny", "--decoder", "tiny", "--json")
    assert (found["encoder"], found["decoder"], found["stream"]) == ("tiny", "tiny", [])
    assert found["first_frames_ms"] == found["timings_ms"]["step"]
    assert "decode" in found["timings_ms"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--decoder", "full"), "the bundle has no decoder 'full'; it has tiny"),
        (("--encoder", "full"), "the bundle has no encoder 'full'; it has tiny"),
        (("--decoder", "both"), "there is no decoder 'both'"),
    ],
)
def test_a_decoder_that_is_not_there(
    small_bundle: Path,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    problem: str,
) -> None:
    assert main(["run", str(small_bundle), "--scene", str(folder), "--out", str(tmp_path / "out"), *words]) == 2
    assert f"error: {problem}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
