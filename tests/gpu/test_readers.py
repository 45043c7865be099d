"""Streams that read results on a GPU and are destroyed before the next step: the process goes on, and what was marked is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.built import Built

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("how", ["nobody says", "release", "read_by"])
def test_a_reader_that_is_destroyed_before_the_next_step(built: Built, how: str) -> None:
    command = [sys.executable, "-m", "tests.gpu.destroyed_reader", str(built.folder), built.backend, built.precision]
    done = subprocess.run(
        [*command, how], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "whole"), done.stderr[-3000:]
    assert "taken through DLPack for a stream of which nobody says" in done.stderr, "the stream was given as a number"
