"""A bundle that is not as it was written, or that was written to do harm: refused in one line, in bounded memory and time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.damage import DAMAGE
from tests.faults.hostile import HOSTILE
from tests.support.nursery import Ended, Nursery

CASES = {**DAMAGE, **HOSTILE}
PEAK_MIB, SECONDS = 200, 20
"""Far more than the small bundle (1.6 MB) takes, far less than what the cases declare."""

PASSES_INSPECT = "prompt", "a graph that is", "a graph cut", "a graph of another", "an empty graph", "weights"
"""Cases that `vsrt inspect` does not see, since it verifies files and does not open graphs."""


def check(ended: Ended, where: Path) -> None:
    assert ended.refused, (ended.code, ended.err)
    assert ended.peak_mib < PEAK_MIB
    assert ended.seconds < SECONDS
    assert not (where / "pickle-was-read").exists()


@pytest.mark.parametrize("case", CASES)
def test_it_is_not_loaded(nursery: Nursery, bundle: Path, case: str) -> None:
    CASES[case](bundle)
    check(nursery.call("tests.faults.children:load", {"bundle": str(bundle)}, memory_mib=1024), bundle.parent)


SOME = (
    "manifest.json: a link to an endless device", "student.onnx: half of it", "two graphs swapped",
    "a prompt of pickles", "weights outside the bundle", "weights of a huge shape",
)  # fmt: skip
RARE = [pytest.param(case, marks=() if case in SOME else pytest.mark.slow) for case in CASES]


@pytest.mark.parametrize("case", RARE)
def test_it_is_not_shown_as_a_bundle_or_shown_without_harm(nursery: Nursery, bundle: Path, case: str) -> None:
    CASES[case](bundle)
    ended = nursery.vsrt("inspect", bundle, memory_mib=1024)
    if ended.code == 0:
        assert case in HOSTILE
        assert any(words in case for words in PASSES_INSPECT)
        assert ended.peak_mib < PEAK_MIB
        assert not (bundle.parent / "pickle-was-read").exists()
        return
    check(ended, bundle.parent)


@pytest.mark.parametrize("case", RARE)
def test_it_is_not_run(nursery: Nursery, bundle: Path, scene_folder: Path, case: str) -> None:
    CASES[case](bundle)
    ended = nursery.vsrt("run", bundle, "--scene", scene_folder, "--out", bundle.parent / "out", memory_mib=1024)
    check(ended, bundle.parent)
    assert not (bundle.parent / "out").exists()


@pytest.mark.parametrize("case", RARE)
def test_nothing_is_built_of_it(nursery: Nursery, bundle: Path, case: str) -> None:
    CASES[case](bundle)
    ended = nursery.vsrt("build", bundle, "--precision", "fp16", "--threads", 1, memory_mib=1024)
    check(ended, bundle.parent)
    selected = bundle / "engines" / "selected.json"
    assert not selected.exists() or "onnxruntime/fp16" not in json.loads(selected.read_text())["pairs"]


def test_the_whole_bundle_is_loaded_under_the_same_limits(nursery: Nursery, bundle: Path, scene_folder: Path) -> None:
    arguments = {"bundle": str(bundle), "scene": str(scene_folder)}
    ended = nursery.call("tests.faults.children:load", arguments, memory_mib=1024)
    assert ended.code == 0, ended.err
