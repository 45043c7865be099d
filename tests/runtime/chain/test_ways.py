"""The ways through a chain: each is a whole step, in an order that its buffers allow, over memory that it shares with the others."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import pytest

from videoscene_rt.chain.arena import plan_arena
from videoscene_rt.chain.description import ChainPlan, Stage
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.chain.ways import Ways
from videoscene_rt.engines.bundle import Bundle


@pytest.fixture(scope="module")
def plan(both_bundle: Path) -> ChainPlan:
    return plan_chain(Bundle.open(both_bundle).manifest, decoders=("full", "tiny"), streaming=True)


def orders(plan: ChainPlan) -> dict[str, list[Stage]]:
    """The stages of the step and of every other way, one after the other."""
    stages = {stage.name: stage for stage in plan.every_stage}
    ways = {way.name: [stages[name] for part in way.parts for name in part.stages] for way in plan.ways}
    return {"step": list(plan.stages), **ways}


def test_there_is_a_step_and_a_stream_for_each_decoder(plan: ChainPlan) -> None:
    assert plan.decoders == ("full", "tiny")
    assert {way.name: (way.decoder, len(way.parts)) for way in plan.ways} == {
        "step.tiny": ("tiny", 1),
        "stream.full": ("full", 1 + 2),
        "stream.tiny": ("tiny", 1 + 5),
    }
    assert {stage.name for stage in plan.stages} >= {"decode_0", "decode_1", "watch"}


def test_the_chunks_are_the_video_and_its_status_comes_with_the_first(plan: ChainPlan) -> None:
    for way in plan.ways:
        spans = [part.frames for part in way.parts if part.frames is not None]
        assert spans[0][0] == 0
        assert spans[-1][1] == plan.buffer("frames").shape[0]
        assert all(one[1] == two[0] for one, two in pairwise(spans))
        first = next(part for part in way.parts if part.frames is not None)
        assert "watch" in first.stages


def test_every_way_writes_what_it_reads_before_it_reads_it(plan: ChainPlan) -> None:
    given = {buffer.name for buffer in plan.of_role("input", "constant")}
    for name, stages in orders(plan).items():
        assert len({stage.name for stage in stages}) == len(stages)
        written = []
        for stage in stages:
            for part in stage.inputs.values():
                if part.buffer not in given and part.buffer != "condition":
                    assert any(part.meets(other) for other in written), (name, stage.name, part)
            written += stage.outputs.values()
        assert {"frames", "coarse", "depth", "hole_mask", "status"} <= {part.buffer for part in written}


def test_the_first_call_of_the_tiny_stream_reads_zeros_that_nobody_writes(plan: ChainPlan) -> None:
    (first,) = (stage for stage in plan.more if stage.name == "decode_stream_0")
    zeros = {part.buffer for tensor, part in first.inputs.items() if tensor.startswith("memory")}
    assert {plan.buffer(name).role for name in zeros} == {"constant"}
    assert not zeros & {part.buffer for stage in plan.every_stage for part in stage.outputs.values()}


def test_no_way_has_two_things_in_one_place_at_once(plan: ChainPlan) -> None:
    """Walking through each way stage by stage: regions that hold something there share no byte."""
    ways = Ways.of(plan)
    arena = plan_arena(plan, ways, {stage.name: 700 + 13 * n for n, stage in enumerate(plan.every_stage)})
    taken = [region for region in arena.regions if region.role in ("cache", "scratch")]
    for name, stages in orders(plan).items():
        order = [stage.name for stage in stages]
        held = {}
        for region in taken:
            users = [
                order.index(stage.name)
                for stage in stages
                if region.name
                in ({stage.name} if region.role == "scratch" else {p.buffer for p in stage.bindings.values()})
            ]
            if users:
                held[region] = (min(users), max(users))
        for a, b in combinations(held, 2):
            if held[a][0] <= held[b][1] and held[b][0] <= held[a][1]:
                assert a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset, (name, a, b)


def test_the_full_stream_needs_no_memory_of_its_own(published_bundle: Path) -> None:
    manifest = Bundle.open(published_bundle).manifest
    sizes = []
    for streaming in (False, True):
        plan = plan_chain(manifest, streaming=streaming)
        sizes.append(plan_arena(plan, Ways.of(plan), {stage.name: 700 for stage in plan.every_stage}).by_role())
    assert sizes[0] == sizes[1]


def test_the_parts_of_a_way_are_one_after_the_other(plan: ChainPlan) -> None:
    before = Ways.of(plan).others["stream.full"].before
    assert before["decode_0"] >= {"render", "student", "encode_images", "policy"}
    assert before["decode_1"] >= {"decode_0", "watch"}
    assert "watch" not in before["decode_0"], "it runs beside the first chunk"
