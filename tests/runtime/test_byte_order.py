"""Arrays in another byte order than the machine's: read as what they say where they are copied, refused where they are used in place.

So are arrays that nobody may write to, where a result goes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.scenes import scene
from videoscene_rt import InputError, Pipeline
from videoscene_rt.chain.scene_inputs import scene_inputs


def test_byte_order_and_alignment(small_bundle: Path) -> None:
    with Pipeline.load(small_bundle) as pipeline:
        tensors = scene_inputs(scene(), pipeline.preset)
        expected = pipeline.step(tensors).copy()
        poses = tensors["world_to_camera"]
        swapped = poses.astype(poses.dtype.newbyteorder())
        pipeline.step(scene(seed=1))
        assert np.array_equal(pipeline.step({**tensors, "world_to_camera": swapped}).coarse, expected.coarse)
        shifted = np.frombuffer(bytearray(poses.nbytes + 1), np.uint8)[1:].view(np.float32).reshape(poses.shape)
        for odd in (swapped, shifted):
            with pytest.raises(InputError, match="^world_to_camera is in another byte order") as caught:
                pipeline.bind("world_to_camera", odd)
            assert "numpy.array(array, 'float32')" in str(caught.value)
        pipeline.bind("world_to_camera", np.array(swapped, "float32"))
        assert np.array_equal(pipeline.step({}).coarse, expected.coarse)


def test_no_result_goes_where_nobody_may_write(small_bundle: Path) -> None:
    with Pipeline.load(small_bundle, slots=1) as pipeline:
        expected = pipeline.step(scene()).copy()
        kept = np.zeros_like(expected.coarse)
        kept.flags.writeable = False
        with pytest.raises(InputError, match="^coarse cannot be written to"):
            pipeline.bind("coarse", kept)
        mine = np.zeros_like(expected.coarse)
        pipeline.bind("coarse", mine)
        pipeline.step(scene())
        assert np.array_equal(mine, expected.coarse)
        points = scene(seed=1)
        for name in ("xyz", "rgb"):
            whole = np.zeros((pipeline.preset.max_points, 3), getattr(points, name).dtype)
            whole[: points.num_points] = getattr(points, name)
            whole.flags.writeable = False
            pipeline.bind(name, whole)
        assert pipeline.step({"num_points": points.num_points}).status == "ok"
