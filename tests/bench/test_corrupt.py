"""The damages of the GPU session, done to engines of ONNX Runtime: each is what it says, and each is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from videoscene_rt.bench.h100.corrupt import CASES, engine_folders, run_case


@pytest.fixture(scope="module")
def built(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small bundle with FP16 engines."""
    bundle = tmp_path_factory.mktemp("corrupt") / "small.bundle"
    shutil.copytree(small_bundle, bundle, symlinks=True)
    command = [sys.executable, "-m", "videoscene_rt.cli.main", "build", str(bundle), "--backend", "onnxruntime"]
    subprocess.run([*command, "--precision", "fp16", "--json"], check=True, capture_output=True)
    return bundle


def load(bundle: Path) -> dict[str, object]:
    return run_case(bundle, "onnxruntime", "fp16", "student", lambda engine, other: None)


def test_an_undamaged_copy_loads(built: Path) -> None:
    """Without this, a refusal would prove nothing."""
    assert load(built) == {"exit_code": 0, "message": "", "refused": False}


@pytest.mark.parametrize("name", ["truncated", "noise, digest made to fit", "another graph's, digest made to fit"])
def test_a_damaged_one_is_refused(built: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in (built / "engines").rglob("*") if path.is_file()}
    assert run_case(built, "onnxruntime", "fp16", "student", CASES[name])["refused"]
    assert {path: path.read_bytes() for path in (built / "engines").rglob("*") if path.is_file()} == before


def test_every_damage_changes_the_folder(built: Path, tmp_path: Path) -> None:
    for index, (name, damage) in enumerate(CASES.items()):
        copy = tmp_path / str(index)
        shutil.copytree(built, copy, symlinks=True)
        folders = engine_folders(copy, "onnxruntime", "fp16")
        student, other = folders["student"], folders["encode_clip"]
        before = _state(student)
        damage(student / "engine.onnx", other / "engine.onnx")
        assert _state(student) != before, name


def _state(folder: Path) -> dict[str, object]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    contents = {path.name: (path.is_symlink(), path.stat().st_mode, path.read_bytes()) for path in files}
    assert json.loads(contents["record.json"][2])["engine"] == "engine.onnx"
    return dict(contents)
