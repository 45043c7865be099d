"""The plan: every graph's tensors are bound, nothing is read before it is written, nothing is written twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from videoscene_rt import InputError
from videoscene_rt.chain.description import ChainPlan, Slice
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.manifest import Manifest

HOST_WRITES = {
    "images", "xyz", "rgb", "num_points", "world_to_camera", "intrinsics", "prompt", "sigma", "eta", "posterior_video",
    "posterior_images", "noise",
}  # fmt: skip


@pytest.fixture(params=["small_bundle", "published_bundle"])
def manifest(request: pytest.FixtureRequest) -> Manifest:
    path: Path = request.getfixturevalue(request.param)
    return Bundle.open(path).manifest


def elements(plan: ChainPlan, part: Slice) -> set[int]:
    """The elements of a buffer that a slice covers, by their flat index."""
    shape = next(buffer.shape for buffer in plan.buffers if buffer.name == part.buffer)
    return set(np.arange(np.prod(shape)).reshape(shape)[part.index].ravel().tolist())


@pytest.mark.parametrize("timestep", [None, 459])
def test_nothing_is_read_before_it_is_written(manifest: Manifest, timestep: int | None) -> None:
    plan = plan_chain(manifest, timestep)
    written = {buffer.name: set() for buffer in plan.buffers}
    for name in HOST_WRITES | ({"timestep"} if timestep is not None else set()):
        written[name] = elements(plan, Slice(name))
    written["condition"] = elements(plan, Slice("condition"))  # zero between the first and last latent frame
    for stage in plan.stages:
        for part in stage.inputs.values():
            assert elements(plan, part) <= written[part.buffer], (stage.name, part)
        for part in stage.outputs.values():
            written[part.buffer] |= elements(plan, part)
    for name in ("frames", "coarse", "depth", "hole_mask", "z_r", "z_0"):
        assert written[name] == elements(plan, Slice(name)), name


def test_chunks_cover_the_video_once(manifest: Manifest) -> None:
    plan = plan_chain(manifest)
    for target in ("z_r", "frames", "coarse"):
        parts = [part for stage in plan.stages for part in stage.outputs.values() if part.buffer == target]
        assert sum(len(elements(plan, part)) for part in parts) == len(elements(plan, Slice(target)))


def test_the_condition_is_written_at_its_ends_alone(manifest: Manifest) -> None:
    plan = plan_chain(manifest)
    parts = [part for stage in plan.stages for part in stage.outputs.values() if part.buffer == "condition"]
    last = manifest.preset.latent_frames
    assert [(part.axis, part.start, part.stop) for part in parts] == [(1, 0, 1), (1, last - 1, last)]


def test_a_fixed_timestep_leaves_the_policy_out(manifest: Manifest) -> None:
    assert "policy" in {stage.graph for stage in plan_chain(manifest).stages}
    assert "policy" not in {stage.graph for stage in plan_chain(manifest, 459).stages}


def test_stages_have_names_of_their_own(manifest: Manifest) -> None:
    names = [stage.name for stage in plan_chain(manifest).stages]
    assert len(names) == len(set(names))


def test_a_bundle_without_a_graph_is_refused(manifest: Manifest) -> None:
    graphs = {name: graph for name, graph in manifest.graphs.items() if name != "student"}
    with pytest.raises(InputError, match="no graph 'student'"):
        plan_chain(manifest.model_copy(update={"graphs": graphs}))


def test_graphs_of_another_size_are_refused(manifest: Manifest) -> None:
    preset = manifest.preset.model_copy(update={"max_points": 17})
    with pytest.raises(InputError, match=r"stage render: graph renderer has xyz"):
        plan_chain(manifest.model_copy(update={"preset": preset}))
