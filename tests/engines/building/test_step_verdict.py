"""The verdict on the whole step is one on engines byte by byte: a rebuilt one of the same identity may be another plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engines.building.test_build import NoRecording, load, refusal, spoilt
from tests.support.built import build, outcomes, recording
from videoscene_rt.engines.building import making
from videoscene_rt.engines.building.gating import Gating
from videoscene_rt.engines.store.store import EngineStore


class Counted:
    """A recording that counts how often the engines' step was run."""

    def __init__(self, folder: Path) -> None:
        self._recording = recording(folder)
        self.digest, self.scenes = self._recording.digest, self._recording.scenes
        self.runs = 0

    def __call__(self) -> Any:
        return self._recording()

    def steps(self, backend: Any) -> Any:
        self.runs += 1
        return self._recording.steps(backend)


def rebuilt_otherwise(folder: Path, monkeypatch: pytest.MonkeyPatch, *, interrupted: bool = False) -> None:
    """Make encode_images' engine again, as a builder that times its kernels may: the same identity, other bytes, and right enough."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    store = EngineStore(folder)
    name = store.selected().pairs["onnxruntime/fp16"].graphs["encode_images"]
    before = store.open(name).record.files
    store.remove(name)
    with monkeypatch.context() as patch:
        patch.setattr(making, "produce", spoilt(lambda weights: weights * 1.0001))
        if interrupted:
            patch.setattr(Gating, "of_step", interrupt)
            with pytest.raises(KeyboardInterrupt):
                build(folder)
        else:
            build(folder).check()
    assert store.open(name).record.files != before


def test_a_build_that_was_interrupted_before_the_step_was_gated_gates_it(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuilt_otherwise(built, monkeypatch, interrupted=True)
    assert (
        "the whole step was gated with another engine of graph encode_images" in refusal(built, "encode_images").problem
    )
    counted = Counted(built)
    report = build(built, recorder=counted)
    report.check()
    assert outcomes(report)["encode_images"] == "reused"
    assert counted.runs == 1
    load(built, "encode_images")
    build(built, recorder=NoRecording(built)).check()


def test_the_other_ceilings_step_is_gated_again_where_it_shares_the_engine(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuilt_otherwise(built, monkeypatch)
    load(built, "encode_images")
    error = refusal(built, "encode_images", "int8")
    assert "the whole step was gated with another engine of graph encode_images" in error.problem
    assert error.remedy == f"vsrt build {built} --backend onnxruntime --precision int8"
    counted = Counted(built)
    report = build(built, "int8", counted)
    report.check()
    assert "built" not in outcomes(report).values()
    assert counted.runs == 1
    load(built, "encode_images", "int8")


def test_the_same_bytes_keep_the_verdict(built: Path) -> None:
    store = EngineStore(built)
    store.remove(store.selected().pairs["onnxruntime/fp16"].graphs["encode_images"])
    build(built).check()
    load(built, "encode_images", "int8")
    build(built, "int8", NoRecording(built)).check()
