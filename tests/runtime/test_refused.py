"""A call that is refused names what is wrong, and has changed nothing: not the seed, not the last step's result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.scenes import scene
from videoscene_rt import InputError, Ladder, Pipeline
from videoscene_rt.deadline import checked_deadline

HUGE = 10**400
"""A whole number beyond what a float can be."""


@pytest.fixture(scope="module")
def pipeline(small_bundle: Path) -> Iterator[Pipeline]:
    with Pipeline.load(small_bundle, threads=1) as pipeline:
        yield pipeline


def spoilt() -> Any:
    """A scene that was changed after it was made."""
    given = scene()
    given.xyz[3] = np.nan
    return given


@pytest.mark.parametrize(
    "call",
    [
        lambda pipeline: pipeline.step(spoilt()),
        lambda pipeline: pipeline.submit(spoilt()),
        lambda pipeline: pipeline.stream(spoilt()),
        lambda pipeline: pipeline.step(scene(points=3001)),
        lambda pipeline: pipeline.step({"xyz": np.zeros((5, 3)), "rgb": np.zeros((5, 3), np.uint8)}),
        lambda pipeline: pipeline.step({"num_points": 2001}),
        lambda pipeline: pipeline.step(scene(), decoder="full"),
        lambda pipeline: pipeline.step(scene(), deadline=1.0, seed=9),
        lambda pipeline: pipeline.step(scene(), seed=-1),
        lambda pipeline: pipeline.submit(scene(), timeout="1", seed=9),
    ],
)
def test_the_last_result_and_the_seed_stay(pipeline: Pipeline, call: Any) -> None:
    result = pipeline.step(scene(seed=1), seed=3)
    frames = result.copy().frames
    with pytest.raises(InputError):
        call(pipeline)
    assert np.array_equal(result.frames, frames)
    after = pipeline.step({"num_points": 2000})
    assert after.step.seed == 3
    assert after.step.number == result.step.number + 1
    assert np.array_equal(after.frames, frames)


@pytest.mark.parametrize(
    "timeout", [float("nan"), float("inf"), "1", True, 1e300, HUGE], ids=lambda value: str(value)[:9]
)
def test_a_timeout_that_is_none_is_refused(pipeline: Pipeline, timeout: Any) -> None:
    for call in (pipeline.submit, pipeline.stream):
        with pytest.raises(InputError, match="timeout must be seconds"):
            call(scene(), timeout=timeout)
    with pipeline.submit(scene()) as handle:
        with pytest.raises(InputError, match="timeout must be seconds"):
            handle.result(timeout=timeout)
        assert handle.result(timeout=np.float32(60)).status == "ok"
    with pipeline.submit(scene(), timeout=-1) as handle:
        assert handle.result().status == "ok"


def test_numbers_beyond_a_float_are_refused_and_numpys_taken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="deadline must be seconds"):
        checked_deadline(HUGE, 0.0)
    assert checked_deadline(np.float32(0.5), 1.0).at == 1.5
    path = tmp_path / "ladder.json"
    path.write_text(f'{{"grace_ms": {HUGE}}}')
    with pytest.raises(InputError, match="grace_ms must be a number"):
        Ladder.read(path)
    for limit in (HUGE, 1e10):  # a thread cannot wait for as long: the watchdog's would end
        with pytest.raises(InputError, match="hang_s must be seconds above 0 and at most"):
            Pipeline.load(tmp_path / "no bundle", hang_s=limit)


@pytest.mark.parametrize(
    ("name", "value"), [("ladder", "ladder.json"), ("ladder", 5), ("on_hang", 5), ("on_verified", "told")]
)
def test_arguments_of_another_type_are_named_before_the_bundle_is_read(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{name} must be a"):
        Pipeline.load(tmp_path / "no bundle", **{name: value})
