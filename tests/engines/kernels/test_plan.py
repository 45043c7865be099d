"""How the renderer is launched: groups that fit, scratch that suffices, every frame drawn and resolved once and in order."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.kernels.cpu_library import CpuLibrary
from videoscene_rt import BackendError
from videoscene_rt.engines.kernels.plan import MAX_GROUPS, SplatPlan, SplatSizes, SplatTuning
from videoscene_rt.engines.kernels.splat import SplatArguments

H100_L2 = 50 * 2**20
PUBLISHED = SplatSizes(49, 480, 720, 1_000_000, 1)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> CpuLibrary:
    return CpuLibrary(tmp_path_factory.mktemp("plan"))


def test_the_published_size_on_an_h100() -> None:
    plan = SplatPlan(PUBLISHED, SplatTuning(), H100_L2)
    assert (plan.group_frames, plan.groups, len(plan.steps)) == (7, 7, 15)
    assert plan.key_bytes <= 0.4 * H100_L2
    assert plan.scratch_bytes == plan.key_bytes + 4_000_000


@settings(max_examples=200, deadline=None)
@given(
    frames=st.integers(1, 600),
    size=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    radius=st.integers(0, 8),
    cache=st.integers(0, 2**27),
)
def test_every_frame_is_drawn_and_then_resolved_once(
    frames: int, size: tuple[int, int], radius: int, cache: int
) -> None:
    plan = SplatPlan(SplatSizes(frames, *size, 5000, radius), SplatTuning(), cache)
    assert plan.groups <= MAX_GROUPS
    assert (plan.groups - 1) * plan.group_frames < frames <= plan.groups * plan.group_frames
    clear, *steps = plan.steps
    assert clear.kernel == "vsrt_splat_prepare"
    done = [(step.kernel.split("_")[2], step.group) for step in steps]
    assert done == [(what, group) for group in range(plan.groups) for what in ("points", "resolve")]


def test_the_layout_is_the_kernels(library: CpuLibrary) -> None:
    for radius in range(9):
        for height, width in ((480, 720), (13, 17), (1, 1), (128, 192)):
            assert SplatSizes(1, height, width, 1, radius).frame_keys == library.frame_keys(height, width, radius)
    assert ctypes.sizeof(SplatArguments) == 120  # splat.cu asserts the same


@settings(max_examples=300, deadline=None)
@given(
    frames=st.integers(1, 600),
    size=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    points=st.integers(1, 2**24),
    radius=st.integers(0, 8),
    cache=st.one_of(st.integers(0, 2**27), st.sampled_from([50 * 2**20, 4 * 2**20])),
    group_frames=st.integers(0, 60),
)
def test_the_c_library_plans_the_same(
    library: CpuLibrary,
    frames: int,
    size: tuple[int, int],
    points: int,
    radius: int,
    cache: int,
    group_frames: int,
) -> None:
    tuning = SplatTuning(group_frames=group_frames or None)
    ours = SplatPlan(SplatSizes(frames, *size, points, radius), tuning, cache)
    theirs = library.plan((frames, *size, points, radius), group_frames, cache)
    assert theirs == [
        ours.sizes.frame_keys, ours.group_frames, ours.groups, ours.point_blocks, ours.key_bytes,
        ours.scratch_bytes,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sizes", [(0, 8, 8, 8, 0), (1, 8, 8, 0, 0), (1, 8, 8, 8, 9), (1, 8, 8, 2**24 + 1, 0), (1, 4096, 4096, 8, 0)]
)
def test_what_the_kernels_do_not_take(sizes: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(BackendError):
        SplatSizes(*sizes)
