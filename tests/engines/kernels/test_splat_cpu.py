"""The kernels' arithmetic, compiled for the CPU, draws what NumPy's z-buffers draw: every bit."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engines.kernels.cpu_library import CpuLibrary
from tests.engines.kernels.feeds import (
    NEAR,
    Sizes,
    assert_same,
    boundary_feed,
    expected,
    feed_of,
    random_feed,
    real_feed,
)

SMALL = Sizes(3, 12, 16, 48)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> CpuLibrary:
    return CpuLibrary(tmp_path_factory.mktemp("splat_cpu"))


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 8])
@pytest.mark.parametrize("size", [(12, 16), (13, 17), (3, 5), (1, 1), (64, 130), (35, 127)])
def test_random_clouds(library: CpuLibrary, size: tuple[int, int], radius: int) -> None:
    sizes = Sizes(5, *size, 4000)
    for seed in range(3):
        feed = random_feed(sizes, seed)
        found = library.render(feed, sizes.canvas(radius), group_frames=2)
        assert_same(found, expected(feed, sizes.canvas(radius)), f"seed {seed}")


@pytest.mark.parametrize("group_frames", [1, 2, 3, 7, 8])
def test_groups_share_memory_and_see_nothing_of_each_other(library: CpuLibrary, group_frames: int) -> None:
    sizes = Sizes(7, 24, 32, 900)
    feed = random_feed(sizes, 5)
    canvas = sizes.canvas(1)
    assert_same(library.render(feed, canvas, group_frames), expected(feed, canvas))


def test_the_most_groups_that_there_can_be(library: CpuLibrary) -> None:
    sizes = Sizes(511, 4, 8, 50)
    feed = random_feed(sizes, 6)
    assert_same(library.render(feed, sizes.canvas(1)), expected(feed, sizes.canvas(1)))
    with pytest.raises(AssertionError):
        library.render(random_feed(Sizes(512, 4, 8, 50), 6), sizes.canvas(1))


@pytest.mark.parametrize("count", [-7, 0, 1, 47, 48, 1000])
def test_the_number_of_points_is_data(library: CpuLibrary, count: int) -> None:
    feed = random_feed(SMALL, 7, count=SMALL.points)
    feed["num_points"][0] = count
    found = library.render(feed, SMALL.canvas(1))
    assert_same(found, expected(feed, SMALL.canvas(1)))
    assert found[2].all() == (count <= 0)


def test_equal_depth_goes_to_the_lowest_index(library: CpuLibrary) -> None:
    points = np.array([(0, 0, 3), (0, 0, 2), (0, 0, 2), (0, 0, 2 + 2**-18)], np.float32)
    colours = np.arange(12, dtype=np.uint8).reshape(4, 3)
    poses = np.tile(np.eye(4), (SMALL.frames, 1, 1))
    camera = np.tile(np.array([[8, 0, 8], [0, 8, 6], [0, 0, 1]]), (SMALL.frames, 1, 1))
    for order, winner in (([0, 1, 2, 3], 1), ([3, 2, 1, 0], 3), ([2, 3, 0, 1], 2)):
        feed = feed_of(SMALL, points[order], colours[order], poses, camera)
        frames, depth, _ = library.render(feed, SMALL.canvas(2), group_frames=3)
        assert frames[0, 6, 8].tolist() == colours[winner].tolist()
        assert depth[0, 6, 8] == 2


def test_every_rounding_is_where_it_is_written(library: CpuLibrary, tmp_path_factory: pytest.TempPathFactory) -> None:
    """And a compiler that contracts a·b + c is found out, where there is one."""
    sizes = Sizes(2, 48, 64, 4000)
    feed = boundary_feed(sizes, 11)
    wanted = expected(feed, sizes.canvas(0))
    assert_same(library.render(feed, sizes.canvas(0)), wanted)
    if platform.machine() == "x86_64" and "fma" in Path("/proc/cpuinfo").read_text().split():
        contracted = CpuLibrary(tmp_path_factory.mktemp("contracted"), ("-mfma", "-ffp-contract=fast"))
        found = contracted.render(feed, sizes.canvas(0))
        assert any(not np.array_equal(out, want) for out, want in zip(found, wanted, strict=True))


EDGES = [0.0, -0.0, 0.0625, -0.0625, 0.5, 1.0, -1.0, 2.0, 1e-30, 1e30, -1e30, np.inf, -np.inf, np.nan]
SIDE = st.one_of(st.sampled_from(EDGES), st.integers(-24, 24).map(lambda n: n / 16), st.floats(-3, 3, width=32))
DEPTH = st.one_of(st.sampled_from([*EDGES, NEAR, 32768.0]), st.integers(1, 8).map(float), st.floats(-1, 4, width=32))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    points=st.lists(st.tuples(SIDE, SIDE, DEPTH), max_size=24),
    shift=st.tuples(*[st.floats(-1, 1, width=32)] * 3),
    focal=st.floats(0.5, 64, width=32),
    radius=st.integers(0, 2),
    group_frames=st.integers(1, 3),
)
def test_any_scene(
    library: CpuLibrary, points: list, shift: tuple[float, float, float], focal: float, radius: int, group_frames: int
) -> None:
    poses = np.tile(np.eye(4, dtype=np.float32), (SMALL.frames, 1, 1))
    poses[1, :3, 3] = shift
    camera = np.tile(np.array([[focal, 0, 8], [0, focal, 6], [0, 0, 1]], np.float32), (SMALL.frames, 1, 1))
    camera[2, :2, 2] += np.float32(shift[:2])
    xyz = np.array(points, np.float32).reshape(-1, 3)
    rgb = np.random.default_rng(5).integers(0, 256, (len(points), 3), np.uint8)
    feed = feed_of(SMALL, xyz, rgb, poses, camera)
    wanted = expected(feed, SMALL.canvas(radius), by_points=True)
    assert_same(library.render(feed, SMALL.canvas(radius), group_frames), wanted)


@pytest.mark.parametrize(("which", "radius"), [("motorcycle", 1), ("garden", 0), ("garden", 1), ("garden", 2)])
def test_real_clouds(library: CpuLibrary, which: str, radius: int) -> None:
    sizes = Sizes(3, 128, 192, 0)
    feed = real_feed(which, sizes.frames, sizes.height, sizes.width)
    wanted = expected(feed, sizes.canvas(radius))
    assert_same(library.render(feed, sizes.canvas(radius), group_frames=2), wanted)
    assert wanted[2].mean() < 0.9


def test_no_conversion_leaves_its_range(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The sanitizer ends the process at a float that its integer cannot hold, a shift too far, an index past an array."""
    flags = ("-fsanitize=undefined,float-cast-overflow,bounds", "-fno-sanitize-recover=all")
    checked = CpuLibrary(tmp_path_factory.mktemp("checked"), flags)
    for radius in (0, 1, 2, 3, 5, 8):
        sizes = Sizes(3, 13, 18, 500)
        feed = random_feed(sizes, radius)
        assert_same(checked.render(feed, sizes.canvas(radius), 2), expected(feed, sizes.canvas(radius)))
