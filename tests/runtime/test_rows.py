"""Rows that nobody gave are never read: of a cloud the number of points says how many there are, and all else is given whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.scenes import scene
from videoscene_rt import InputError, Pipeline
from videoscene_rt.chain.scene_inputs import scene_inputs


@pytest.fixture(scope="module")
def pipeline(small_bundle: Path) -> Pipeline:
    return Pipeline.load(small_bundle)


@pytest.fixture
def tensors(pipeline: Pipeline) -> dict[str, Any]:
    """A cloud of 500 points, given after one of 2,000."""
    pipeline.step(scene(seed=1))
    whole = scene_inputs(scene(seed=2), pipeline.preset)
    return {**whole, "xyz": whole["xyz"][:500], "rgb": whole["rgb"][:500], "num_points": np.array([500], np.int32)}


@pytest.mark.parametrize("count", [501, 2000, 2**31 - 1, -1])
def test_a_number_of_points_beyond_the_cloud_is_refused_as_an_array_too(
    pipeline: Pipeline, tensors: dict[str, Any], count: int
) -> None:
    expected = pipeline.step(tensors).copy()
    for given in (np.array([count], np.int32), count):
        with pytest.raises(InputError, match=rf"^num_points is {count:,}; here it is from 0 to 500"):
            pipeline.step({**tensors, "num_points": given})
        with pytest.raises(InputError, match=rf"^num_points is {count:,}; here it is from 0 to"):
            pipeline.step({"num_points": given})
    again = pipeline.step({"num_points": 500})
    assert np.array_equal(again.coarse, expected.coarse)
    assert np.array_equal(again.frames, expected.frames)
    assert again.step.number == expected.step.number + 1


def test_a_cloud_brings_its_number_of_points_whatever_holds_it(pipeline: Pipeline, tensors: dict[str, Any]) -> None:
    expected = pipeline.step(tensors).copy()
    cloud = {name: tensors[name] for name in ("xyz", "rgb")}
    for held in (list, memoryview, _ByInterface):
        pipeline.step(scene(seed=1))
        result = pipeline.step({**tensors, **{name: held(array) for name, array in cloud.items()}, "num_points": 500})
        assert np.array_equal(result.coarse, expected.coarse)
        pipeline.step(scene(seed=1))
        found = pipeline.step({name: held(array) for name, array in cloud.items()})
        assert found.step.num_points == 500
    for odd in ({"xyz": list(cloud["xyz"])}, {"xyz": list(cloud["xyz"]), "rgb": list(cloud["rgb"][:300])}):
        with pytest.raises(InputError, match="xyz and rgb belong together"):
            pipeline.step(odd)
    with pytest.raises(InputError, match="^xyz: float32 is no array of rows"):
        pipeline.step({**cloud, "xyz": np.float32(3)})


class _ByInterface:
    """An array that says what it is by NumPy's protocol alone."""

    def __init__(self, array: np.ndarray) -> None:
        self.__array_interface__ = array.__array_interface__
        self._owner = array


def test_fewer_points_than_there_are_and_none_are_taken(pipeline: Pipeline, tensors: dict[str, Any]) -> None:
    fewer = pipeline.step({**tensors, "num_points": np.array([499], np.int32)}).copy()
    assert np.array_equal(pipeline.step({"num_points": 499}).coarse, fewer.coarse)
    assert pipeline.step({"num_points": 0}).hole_mask.all()
    assert not pipeline.step({"num_points": 500}).hole_mask.all()


@pytest.mark.parametrize("name", ["images", "world_to_camera", "intrinsics", "num_points"])
def test_all_but_the_cloud_is_given_whole(pipeline: Pipeline, tensors: dict[str, Any], name: str) -> None:
    expected = pipeline.step(tensors).copy()
    for rows in (0, len(tensors[name]) - 1):
        with pytest.raises(InputError, match=rf"^{name} is .*, not "):
            pipeline.step({**tensors, name: tensors[name][:rows]})
    assert np.array_equal(pipeline.step({}).frames, expected.frames)


def test_they_stay_so_many_when_another_bundle_takes_over(small_bundle: Path) -> None:
    with Pipeline.load(small_bundle) as pipeline:
        cloud = scene(seed=2)
        pipeline.step(scene(seed=1))
        expected = pipeline.step({"xyz": cloud.xyz[:500], "rgb": cloud.rgb[:500]}).copy()
        pipeline.reload(small_bundle)
        with pytest.raises(InputError, match=r"^num_points is 501; here it is from 0 to 500"):
            pipeline.step({"num_points": 501})
        assert np.array_equal(pipeline.step({"num_points": 500}).coarse, expected.coarse)


def test_how_many_points_there_are_is_not_said_where_the_caller_writes_it(small_bundle: Path) -> None:
    with Pipeline.load(small_bundle) as pipeline:
        assert pipeline.step(scene(seed=1)).step.num_points == 2000
        count = np.array([300], np.int32)
        pipeline.bind("num_points", count)
        assert pipeline.step({}).step.num_points is None
