"""The schedule orders what depends on one another, and lets the rest overlap; the arena keeps apart what may overlap."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoscene_rt.chain.arena import Region, plan_arena
from videoscene_rt.chain.description import Buffer, ChainPlan, Slice, Stage
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.chain.schedule import Schedule, schedule
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.device import ALIGNMENT


@st.composite
def plans(draw: st.DrawFn) -> ChainPlan:
    """Some stages over some buffers of 4 rows, reading and writing slices of them."""
    names = [f"b{n}" for n in range(draw(st.integers(1, 4)))]
    part = st.tuples(st.sampled_from(names), st.integers(0, 3), st.integers(1, 4)).map(
        lambda drawn: Slice(drawn[0], 0, drawn[1], max(drawn[1] + 1, drawn[2]))
    )
    stages = []
    for number in range(draw(st.integers(1, 7))):
        inputs = {f"i{n}": each for n, each in enumerate(draw(st.lists(part, max_size=2)))}
        outputs = {f"o{n}": each for n, each in enumerate(draw(st.lists(part, min_size=1, max_size=2)))}
        stages.append(Stage(f"s{number}", f"g{number}", inputs, outputs))
    return ChainPlan(tuple(Buffer(name, "uint8", (4,)) for name in names), tuple(stages))


def rows(parts: dict[str, Slice]) -> set[tuple[str, int]]:
    return {(part.buffer, row) for part in parts.values() for row in range(part.start or 0, part.stop or 4)}


def ordered(made: Schedule) -> dict[str, set[str]]:
    """Everything before each stage, worked out from lanes and waits alone, by brute force."""
    before: dict[str, set[str]] = {}
    for number, placed in enumerate(made.placed):
        same = [other.stage for other in made.placed[:number] if other.lane == placed.lane]
        direct = {*same, *placed.waits}
        before[placed.stage] = direct | {far for near in direct for far in before[near]}
    return before


@settings(max_examples=300, deadline=None)
@given(plans(), st.integers(1, 3))
def test_what_conflicts_is_ordered(plan: ChainPlan, lanes: int) -> None:
    made = schedule(plan, lanes)
    before = ordered(made)
    assert made.lanes <= lanes
    assert [placed.stage for placed in made.placed] == [stage.name for stage in plan.stages]
    for first, then in combinations(plan.stages, 2):
        reads, writes = rows(first.inputs), rows(first.outputs)
        if writes & (rows(then.inputs) | rows(then.outputs)) or reads & rows(then.outputs):
            assert first.name in before[then.name], (first, then)
        assert made.overlaps(first.name, then.name) == (first.name not in before[then.name])


@settings(max_examples=300, deadline=None)
@given(plans(), st.integers(2, 3))
def test_nothing_is_waited_for_twice(plan: ChainPlan, lanes: int) -> None:
    made = schedule(plan, lanes)
    for number, placed in enumerate(made.placed):
        for wait in placed.waits:
            less = Schedule(
                (
                    *made.placed[:number],
                    type(placed)(placed.stage, placed.graph, placed.lane, tuple(w for w in placed.waits if w != wait)),
                )
            )
            assert wait not in ordered(less)[placed.stage], "the wait changes nothing"


@settings(max_examples=300, deadline=None)
@given(plans(), st.lists(st.integers(0, 5000), min_size=7, max_size=7), st.integers(1, 2), st.booleans())
def test_memory_is_shared_only_by_what_cannot_overlap(
    plan: ChainPlan, sizes: list[int], slots: int, mapped: bool
) -> None:
    made = schedule(plan, 2)
    scratch = {stage.name: size for stage, size in zip(plan.stages, sizes, strict=False)}
    arena = plan_arena(plan, made, scratch, slots, mapped)
    for region in arena.regions:
        assert region.offset % ALIGNMENT == 0
        assert region.offset + region.nbytes <= arena.size(region.place)
    for a, b in combinations(arena.regions, 2):
        if a.place == b.place and a.offset < b.offset + b.nbytes and b.offset < a.offset + a.nbytes:
            assert {a.role, b.role} <= {"scratch", "cache"}, (a, b)
            for one, other in product(used_by(plan, a), used_by(plan, b)):
                assert one != other, (a, b)
                assert not made.overlaps(one, other), (a, b)
    for stage, size in scratch.items():
        region = arena.scratch(stage)
        assert (region is None) == (size == 0)
        assert region is None or region.nbytes >= size
    assert sum(arena.by_role().values()) <= arena.size("device") + arena.size("mapped")


@pytest.mark.parametrize("name", ["small_bundle", "published_bundle"])
def test_the_images_are_encoded_beside_rendering_and_the_coarse_video(
    request: pytest.FixtureRequest, name: str
) -> None:
    folder: Path = request.getfixturevalue(name)
    made = schedule(plan_chain(Bundle.open(folder).manifest))
    lanes = {placed.stage: placed.lane for placed in made.placed}
    assert {stage for stage, lane in lanes.items() if lane} == {"encode_images", "watch"}
    for stage in lanes:
        beside = stage.startswith("encode") or stage in ("render", "policy")
        assert made.overlaps("encode_images", stage) == (beside and stage != "encode_images"), stage
    assert all(made.overlaps("watch", stage) == stage.startswith("decode") for stage in lanes)
    (student,) = (placed for placed in made.placed if placed.stage == "student")
    assert student.waits == ("encode_images",)


def used_by(plan: ChainPlan, region: Region) -> list[str]:
    """The stages that need a region to hold what it holds."""
    if region.role == "scratch":
        return [region.name]
    return [stage.name for stage in plan.stages if region.name in {part.buffer for part in stage.bindings.values()}]


def test_the_decoders_caches_lie_where_the_encoders_were(published_bundle: Path) -> None:
    """The coarse video's are read for the last time long before the first chunk is decoded; the student's scratch lies between."""
    plan = plan_chain(Bundle.open(published_bundle).manifest)
    made = schedule(plan)
    caches = {verb: [b for b in plan.of_role("cache") if b.name.startswith(verb)] for verb in ("encode", "decode")}
    sizes = {
        verb: sum(-(-buffer.nbytes // ALIGNMENT) * ALIGNMENT for buffer in found) for verb, found in caches.items()
    }
    assert min(sizes.values()) > 0
    student = max(sizes.values()) + 4096
    arena = plan_arena(plan, made, {"student": student, "encode_0": 1000})
    assert arena.by_role()["cache"] == max(sizes.values()), "the larger of the two, and no more"
    assert arena.by_role()["scratch"] == 4096, "the student's own runs out over both"
    one, other = (arena.region(caches[verb][0].name) for verb in ("encode", "decode"))
    assert {one.role, other.role} == {"cache"}


def test_a_cache_is_whole_from_the_chunk_that_writes_it_to_the_one_that_reads_it(published_bundle: Path) -> None:
    """No two regions that hold something at the same time share a byte, whatever the order of the chunks."""
    plan = plan_chain(Bundle.open(published_bundle).manifest)
    made = schedule(plan)
    arena = plan_arena(plan, made, {stage.name: 700 for stage in plan.stages})
    taken = [region for region in arena.regions if region.role in ("cache", "scratch")]
    order = [placed.stage for placed in made.placed]
    for at in range(len(order)):
        alive = [
            region
            for region in taken
            if (stages := [order.index(stage) for stage in used_by(plan, region)]) and min(stages) <= at <= max(stages)
        ]
        for a, b in combinations(alive, 2):
            assert a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset, (order[at], a, b)


def test_scratch_of_stages_in_a_row_is_one(small_bundle: Path) -> None:
    plan = plan_chain(Bundle.open(small_bundle).manifest)
    made = schedule(plan)
    sizes = {"render": 1000, "encode": 5000, "student": 9000, "decode": 7000, "encode_images": 300}
    arena = plan_arena(plan, made, sizes)
    student, image = arena.scratch("student"), arena.scratch("encode_images")
    assert student is not None
    assert image is not None
    assert arena.by_role()["scratch"] <= 9216 + 1024
    assert arena.scratch("encode") is not None
    assert {arena.scratch(stage).offset for stage in ("student", "encode", "decode", "render")} == {student.offset}  # type: ignore[union-attr]
