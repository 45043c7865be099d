"""A short round of every target, every seed of the corpus, and every find of longer runs again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target

FINDS = Path(__file__).parent.parent / "corpus" / "finds"
_BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_seeds_are_accepted_or_refused_as_documented(target: Target) -> None:
    accepted = [target.read(seed) for seed in target.seeds]
    assert any(accepted)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_case_of_a_short_round_is_answered_wrongly(target: Target) -> None:
    @settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def one(data: st.DataObject) -> None:
        target.read(data.draw(target.cases(target.seeds)))

    one()


@pytest.mark.parametrize("find", sorted(FINDS.iterdir()), ids=lambda path: path.name)
def test_what_was_found_once_is_refused(find: Path) -> None:
    target = _BY_NAME[find.name.partition("-")[0]]
    assert not target.read(find.read_bytes())


def test_the_command_writes_a_record(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--minutes", "0.001", "--out", str(tmp_path / "record.json"), "ply"]
    done = subprocess.run(
        command, capture_output=True, check=False, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["targets"]["ply"]["cases"] >= 100
    assert record["targets"]["ply"]["finds"] == []
