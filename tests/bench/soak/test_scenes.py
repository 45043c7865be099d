"""The scenes of a soak: resized once, with the bits that a step would have made, and told apart in its steps."""

from __future__ import annotations

import numpy as np

from tests.support.presets import SMALL
from videoscene_rt.bench.soak.scenes import at_size, by_scene
from videoscene_rt.chain.scene_inputs import scene_inputs
from videoscene_rt.scenes.room import procedural_room


def test_a_scene_at_size_is_the_same_step() -> None:
    for height, width in ((SMALL.height, SMALL.width), (75, 100), (61, 45)):
        scene = procedural_room(height, width, 5, 800)
        prepared = at_size(scene, SMALL)
        assert prepared.images.shape == (2, SMALL.height, SMALL.width, 3)
        wanted, found = scene_inputs(scene, SMALL), scene_inputs(prepared, SMALL)
        assert all(np.array_equal(wanted[name], found[name]) for name in wanted)


def test_steps_are_their_scenes() -> None:
    """Seven steps through three scenes, of which the first two were of the warm-up: step 2 is the third scene's."""
    found = by_scene(("a", "b", "c"), np.arange(2.0, 9.0), 2)
    assert {name: steps.tolist() for name, steps in found.items()} == {
        "step a": [3, 6], "step b": [4, 7], "step c": [2, 5, 8],
    }  # fmt: skip
    assert all(steps.size == 0 for steps in by_scene(("a", "b"), np.empty(0), 5).values())
