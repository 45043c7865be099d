"""`vsrt` listens on nothing and calls nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.nursery import Nursery

_FUNCTION = "tests.faults.network:no_network"


def test_no_command_opens_a_socket(nursery: Nursery, small_bundle: Path, scene_folder: Path, tmp_path: Path) -> None:
    bundle = str(shutil.copytree(small_bundle, tmp_path / "b.bundle"))
    commands = [
        ["inspect", bundle],
        ["build", bundle, "--precision", "fp16", "--threads", "1"],
        ["run", bundle, "--scene", str(scene_folder), "--out", str(tmp_path / "run"), "--precision", "fp16"],
        ["inspect", "--json", bundle],
        ["--version"],
    ]
    ended = nursery.call(_FUNCTION, commands)
    assert ended.code == 0, ended.err


@pytest.mark.slow
def test_nor_do_the_demo_the_bench_and_the_doctor(nursery: Nursery, small_bundle: Path, tmp_path: Path) -> None:
    commands = [
        ["doctor"],
        ["bench", str(small_bundle), "--out", str(tmp_path / "bench"), "--seconds", "2"],
        ["demo", "--out", str(tmp_path / "demo")],
    ]
    ended = nursery.call(_FUNCTION, commands, timeout_s=900, memory_mib=1 << 16)
    assert ended.code == 0, ended.err


def test_the_watch_sees_a_socket(nursery: Nursery) -> None:
    """The test of the test."""
    ended = nursery.call("tests.faults.network:caught", None)
    assert ended.code == 0, ended.err
