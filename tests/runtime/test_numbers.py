"""NaN and infinity: refused in what the host can see before the step, and nothing is changed by a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.scenes import scene
from videoscene_rt import InputError, Pipeline
from videoscene_rt.chain.finite import check_finite
from videoscene_rt.chain.scene_inputs import scene_inputs


@pytest.fixture(scope="module")
def pipeline(small_bundle: Path) -> Pipeline:
    return Pipeline.load(small_bundle)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["xyz", "world_to_camera", "intrinsics"])
def test_a_tensor_that_is_not_finite_is_named_and_nothing_changes(pipeline: Pipeline, name: str, value: float) -> None:
    before = pipeline.step(scene(seed=1), seed=0).copy()
    tensors = scene_inputs(scene(seed=2), pipeline.preset)
    wrong = tensors[name].copy()
    wrong.flat[4] = value
    index = ",".join(str(int(i)) for i in np.unravel_index(4, wrong.shape))
    with pytest.raises(InputError, match=rf"^{name}\[{index}\] is (nan|-?inf); needs a finite float32"):
        pipeline.step({**tensors, name: wrong}, seed=7)
    after = pipeline.step({"num_points": 2000})
    assert np.array_equal(after.frames, before.frames)
    assert after.step.number == before.step.number + 1


@pytest.mark.parametrize("field", ["xyz", "world_to_camera", "intrinsics", "trajectory"])
def test_a_scene_that_is_not_finite_is_not_made(field: str, pipeline: Pipeline) -> None:
    given = scene(trajectory=np.tile(np.eye(4, dtype=np.float32), (9, 1, 1)))
    wrong = getattr(given, field).copy()
    wrong.flat[1] = np.nan
    with pytest.raises(InputError, match=rf"^{field}\[[\d,]+\] is nan"):
        scene(**{**({"trajectory": given.trajectory} if field == "trajectory" else {}), field: wrong})


def test_a_scene_that_was_changed_after_it_was_made_is_refused_by_the_step(pipeline: Pipeline) -> None:
    given = scene()
    given.xyz[7, 1] = np.inf
    with pytest.raises(InputError, match=r"^xyz\[7,1\] is inf"):
        pipeline.step(given)
    with pytest.raises(InputError, match=r"^xyz\[7,1\] is inf"):
        pipeline.submit(given)


def test_rows_that_are_not_read_may_be_anything(pipeline: Pipeline) -> None:
    tensors = scene_inputs(scene(), pipeline.preset)
    wrong = tensors["xyz"].copy()
    wrong[1500:] = np.nan
    result = pipeline.step({**tensors, "xyz": wrong, "num_points": 1500})
    assert result.status == "ok"
    with pytest.raises(InputError, match=r"^xyz\[1500,0\] is nan; .*\(3 such"):
        pipeline.step({**tensors, "xyz": wrong, "num_points": 1501})


def test_large_finite_values_whose_sum_overflows_are_taken() -> None:
    large = np.full((1000, 3), 3e38, np.float32)
    check_finite({"xyz": large})
    large[999, 2] = np.nan
    with pytest.raises(InputError, match=r"^xyz\[999,2\]"):
        check_finite({"xyz": large})


@pytest.mark.parametrize("seed", range(20))
def test_the_sum_and_a_look_at_every_value_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values: Any = (rng.standard_normal((rng.integers(1, 3000), 3)) * 10.0 ** rng.integers(-40, 38)).astype(np.float32)
    values[rng.random(values.shape) < (0.001 if seed % 2 else 0)] = rng.choice([np.nan, np.inf, -np.inf])
    if np.isfinite(values).all():
        check_finite({"xyz": values})
    else:
        with pytest.raises(InputError, match="xyz"):
            check_finite({"xyz": values})
