"""Ranges for Nsight: with a package that writes down what it is asked for, without one, and with the real one where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from videoscene_rt.nvtx import DOMAIN, ranges, stage_range


class Recorder:
    """Stands for the package: every annotation and every entry and exit, in order."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []
        self.seen: list[str] = []

    def annotate(self, message: str, domain: str) -> Recorder.Range:
        self.made.append((message, domain))
        return Recorder.Range(self, message)

    class Range:
        def __init__(self, recorder: Recorder, name: str) -> None:
            self.recorder, self.name = recorder, name

        def __enter__(self) -> None:
            self.recorder.seen.append(f"<{self.name}")

        def __exit__(self, *_: object) -> None:
            self.recorder.seen.append(f"{self.name}>")


def test_every_stage_has_one_range_that_is_entered_in_every_step() -> None:
    package = Recorder()
    stage = ranges(package)
    for _ in range(3):
        for name in ("render", "encode"):
            with stage(name):
                pass
    assert package.made == [("render", DOMAIN), ("encode", DOMAIN)]
    assert package.seen == ["<render", "render>", "<encode", "encode>"] * 3


def test_a_stage_that_fails_leaves_its_range() -> None:
    package = Recorder()
    with pytest.raises(RuntimeError), ranges(package)("student"):
        raise RuntimeError
    assert package.seen == ["<student", "student>"]


def test_without_the_package_there_is_nothing_and_always_the_same() -> None:
    stage = ranges(None)
    assert stage("render") is stage("decode")
    with stage("render"), stage("decode"):
        pass


def test_the_stage_range_can_be_entered_here_whatever_is_installed() -> None:
    with stage_range("render"), stage_range("render"):
        pass
    assert stage_range("render") is stage_range("render")


def test_the_package_is_taken_where_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "nvtx.py").write_text("def annotate(name, domain):\n    return f'{domain}: {name}'\n")
    code = "from videoscene_rt.nvtx import stage_range; print(stage_range('student'))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "videoscene_rt: student\n"
