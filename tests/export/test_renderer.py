"""The renderer: torch, the traced graph under ONNX Runtime (optimised and not) and NumPy must agree in every bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.data import garden_cloud
from tests.support.zbuffer import Canvas, Cloud, draw_point_by_point, draw_sorted
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import RendererSettings
from videoscene_rt.export.renderer import Renderer

INPUTS = ["xyz", "rgb", "num_points", "world_to_camera", "intrinsics"]
OUTPUTS = ["frames", "depth", "hole_mask"]
FRAMES, HEIGHT, WIDTH, POINTS = 3, 12, 16, 48
NEAR = 0.25
BACKGROUND = (7, 90, 201)
LEVELS = {
    "optimised": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "as exported": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


@dataclass(frozen=True)
class Traced:
    """A renderer, its ONNX file, and a session for each optimisation level."""

    module: Renderer
    file: Path
    sessions: dict[str, onnxruntime.InferenceSession]

    @property
    def canvas(self) -> Canvas:
        m = self.module
        return Canvas(m.height, m.width, m.radius, m.near, tuple(m.background[0].tolist()))

    def run(self, feed: dict[str, np.ndarray]) -> Iterator[tuple[str, list[np.ndarray]]]:
        with torch.inference_mode():
            yield "torch", [out.numpy() for out in self.module(*(torch.from_numpy(feed[name]) for name in INPUTS))]
        for level, session in self.sessions.items():
            yield f"ONNX Runtime, {level}", session.run(OUTPUTS, feed)


def trace(module: Renderer, folder: Path) -> Traced:
    F, P = module.frames, module.max_points
    example = (
        torch.rand(P, 3),
        torch.zeros(P, 3, dtype=torch.uint8),
        torch.tensor([P], dtype=torch.int32),
        torch.eye(4).repeat(F, 1, 1),
        torch.eye(3).repeat(F, 1, 1),
    )
    file = folder / "renderer.onnx"
    torch.onnx.export(
        module.eval(),
        example,
        file,
        dynamo=True,
        opset_version=18,
        input_names=INPUTS,
        output_names=OUTPUTS,
        verbose=False,
    )
    sessions = {}
    for name, level in LEVELS.items():
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.intra_op_num_threads = 2
        sessions[name] = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return Traced(module, file, sessions)


@pytest.fixture(scope="module", params=[0, 1, 2], ids="radius {}".format)
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    radius: int = request.param
    module = Renderer(FRAMES, HEIGHT, WIDTH, POINTS, RendererSettings(radius=radius, near=NEAR, background=BACKGROUND))
    if radius == 1:
        module.group = 2  # groups of 2 and 1, as in clips of more frames than groups
    return trace(module, tmp_path_factory.mktemp(f"radius{radius}"))


def cameras(frames: int = FRAMES, focal: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
    """Cameras at the origin, and intrinsics with which x = X/Z = 1 is ``focal`` pixels from the centre."""
    intrinsics = np.array([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]], np.float32)
    return np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)), np.tile(intrinsics, (frames, 1, 1))


def scene(
    points: list[tuple[float, float, float]], poses: np.ndarray | None = None, intrinsics: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """A feed with these points, each of its own colour, in a buffer whose tail is garbage."""
    default_poses, default_intrinsics = cameras()
    xyz = np.full((POINTS, 3), np.nan, np.float32)
    xyz[1::2] = (0, 0, 0.5)  # right before the camera: it would be seen, if the tail were not cut off
    xyz[: len(points)] = np.array(points, np.float32).reshape(-1, 3)
    return {
        "xyz": xyz,
        "rgb": np.random.default_rng(5).integers(0, 256, (POINTS, 3), np.uint8),
        "num_points": np.array([len(points)], np.int32),
        "world_to_camera": default_poses if poses is None else poses,
        "intrinsics": default_intrinsics if intrinsics is None else intrinsics,
    }


def check(traced: Traced, feed: dict[str, np.ndarray], draw=draw_point_by_point) -> list[np.ndarray]:
    """Every implementation equals ``draw`` in every bit; its result comes back."""
    cloud = Cloud(feed["xyz"], feed["rgb"], int(feed["num_points"][0]))
    drawn = [
        draw(cloud, pose, intrinsics, traced.canvas)
        for pose, intrinsics in zip(feed["world_to_camera"], feed["intrinsics"], strict=True)
    ]
    expected = [np.stack(part) for part in zip(*drawn, strict=True)]
    for who, outputs in traced.run(feed):
        for name, out, want in zip(OUTPUTS, outputs, expected, strict=True):
            assert (out.dtype, out.shape) == (want.dtype, want.shape), f"{name} of {who}"
            assert out.tobytes() == want.tobytes(), f"{name} of {who} differs at {np.argwhere(out != want)[:3]}"
    return expected


@pytest.mark.parametrize("seed", range(3))
def test_random_clouds(traced: Traced, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform((-2, -2, -0.5), (2, 2, 3), (40, 3)).tolist()
    poses, intrinsics = cameras()
    angle = rng.uniform(-0.5, 0.5, FRAMES)
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angle)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(angle), -np.sin(angle)
    poses[:, :3, 3] = rng.uniform(-0.3, 0.3, (FRAMES, 3))
    intrinsics[:, 0, 0] *= rng.uniform(0.5, 2, FRAMES)  # every frame its own lens
    intrinsics[:, 1, 1] *= rng.uniform(0.5, 2, FRAMES)
    intrinsics[:, :2, 2] += rng.uniform(-3, 3, (FRAMES, 2))
    frames, _, hole_mask = check(traced, scene(points, poses, intrinsics))
    assert 0 < hole_mask.mean() < 1
    assert not np.array_equal(frames[0], frames[1])


def test_every_rounding_is_where_it_is_written(traced: Traced) -> None:
    """Points within an ulp of a pixel boundary, far enough that q holds every bit of Z: another order of operations shows."""
    rng = np.random.default_rng(11)
    poses, intrinsics = cameras()
    c, s = np.cos(0.7), np.sin(0.7)
    poses[0, :3, :3] = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    poses[:, :3, 3] = (0.3, -0.7, 1.9)
    intrinsics[:, [0, 1], [0, 1]] = (7.3, 9.1)
    intrinsics[:, :2, 2] = (8.3, 5.7)
    columns, rows = rng.integers(0, WIDTH, POINTS), rng.integers(0, HEIGHT, POINTS)
    Z = rng.uniform(300, 3000, POINTS)
    camera = np.stack([(columns - 0.5 - 8.3) / 7.3 * Z, (rows - 0.5 - 5.7) / 9.1 * Z, Z], axis=1)
    points = (camera - poses[0, :3, 3]) @ poses[0, :3, :3].astype(np.float64)
    check(traced, scene(points.tolist(), poses, intrinsics))
    poses[:] = np.eye(4)
    check(traced, scene(camera.tolist(), poses, intrinsics))


def test_equal_depth_goes_to_the_lowest_index(traced: Traced) -> None:
    # The first two are one point; the third is deeper, but by less than one step of depth, so it ties as well.
    points = [(0.0, 0.0, 3.0), (0.0, 0.0, 2.0), (0.0, 0.0, 2.0), (0.0, 0.0, 2.0 + 2**-18)]
    feed = scene(points)
    frames, depth, _ = check(traced, feed)
    assert frames[0, HEIGHT // 2, WIDTH // 2].tolist() == feed["rgb"][1].tolist()
    assert depth[0, HEIGHT // 2, WIDTH // 2] == 2
    feed = scene([points[3], *points[:3]])
    assert check(traced, feed)[0][0, HEIGHT // 2, WIDTH // 2].tolist() == feed["rgb"][0].tolist()


@pytest.mark.parametrize(
    ("z", "seen"),
    [
        (NEAR, False),
        (np.nextafter(np.float32(NEAR), np.float32(1)), True),
        (0.0, False),
        (-0.0, False),
        (-1.0, False),
        (np.nextafter(np.float32(32768), np.float32(0)), True),
        (32768.0, False),
        (1e30, False),
        (np.inf, False),
        (np.nan, False),
    ],
)
def test_near_and_far_limits(traced: Traced, z: float, seen: bool) -> None:
    _, depth, hole_mask = check(traced, scene([(0.0, 0.0, float(z))]))
    assert (not hole_mask.all()) == seen
    if seen:
        assert depth[0, HEIGHT // 2, WIDTH // 2] == np.floor(np.float64(z) * 65536) / 65536


@pytest.mark.parametrize("pixel", [-3, -2, -1, 0, WIDTH - 1, WIDTH, WIDTH + 1, WIDTH + 2])
def test_points_just_off_screen_reach_in(traced: Traced, pixel: int) -> None:
    _, _, hole_mask = check(traced, scene([((pixel - WIDTH / 2) / 8, 0.0, 1.0)]))
    columns = np.flatnonzero(~hole_mask[0].all(axis=0).astype(bool))
    r = traced.module.radius
    assert columns.tolist() == [c for c in range(WIDTH) if abs(c - pixel) <= r]


def test_a_pixel_boundary_belongs_to_the_next_pixel(traced: Traced) -> None:
    u = np.array([-0.5, 0.5, 3.5, 7.5, WIDTH - 0.5, WIDTH + 0.5])
    v = np.array([-0.5, 2.5, 4.5, HEIGHT - 0.5, 5.5, 6.5])
    points = [((a - WIDTH / 2) / 8, (b - HEIGHT / 2) / 8, 1.0) for a, b in zip(u, v, strict=True)]
    _, _, hole_mask = check(traced, scene(points))
    r = traced.module.radius
    if r == 0:
        assert sorted(map(tuple, np.argwhere(hole_mask[0] == 0).tolist())) == [(0, 0), (3, 1), (5, 4)]


def test_corners_of_a_square_are_covered(traced: Traced) -> None:
    _, _, hole_mask = check(traced, scene([(0.0, 0.0, 1.0)]))
    r = traced.module.radius
    expected = np.ones((HEIGHT, WIDTH), np.uint8)
    expected[HEIGHT // 2 - r : HEIGHT // 2 + r + 1, WIDTH // 2 - r : WIDTH // 2 + r + 1] = 0
    assert np.array_equal(hole_mask[0], expected)


def test_nothing_seen_is_all_hole(traced: Traced) -> None:
    for points in ([], [(0.0, 0.0, -1.0), (1e20, 0.0, 1.0), (0.0, -1e38, 0.5), (np.nan, 0.0, 1.0), (0.0, np.inf, 1.0)]):
        frames, depth, hole_mask = check(traced, scene(points))
        assert hole_mask.all()
        assert not depth.any()
        assert (frames == BACKGROUND).all()


def test_a_full_buffer(traced: Traced) -> None:
    check(traced, scene([(x / 4 - 1, 0.0, 1.0 + x / 7) for x in range(POINTS)]))


EDGES = [0.0, -0.0, 0.0625, -0.0625, 0.5, 1.0, -1.0, 2.0, 1e-30, 1e30, -1e30, np.inf, -np.inf, np.nan]
SIDE = st.one_of(st.sampled_from(EDGES), st.integers(-24, 24).map(lambda n: n / 16), st.floats(-3, 3, width=32))
DEPTH = st.one_of(st.sampled_from([*EDGES, NEAR, 32768.0]), st.integers(1, 8).map(float), st.floats(-1, 4, width=32))
POINT = st.tuples(SIDE, SIDE, DEPTH)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    points=st.lists(POINT, max_size=24),
    shift=st.tuples(*[st.floats(-1, 1, width=32)] * 3),
    focal=st.floats(0.5, 64, width=32),
)
def test_any_scene(traced: Traced, points: list, shift: tuple[float, float, float], focal: float) -> None:
    poses, intrinsics = cameras(focal=focal)
    poses[1, :3, 3] = shift
    intrinsics[2, :2, 2] += np.float32(shift[:2])
    check(traced, scene(points, poses, intrinsics))


def test_the_graph_has_only_ordered_arithmetic(traced: Traced) -> None:
    model = onnx.load(traced.file)
    kinds = {node.op_type for node in model.graph.node}
    unordered = {"MatMul", "Gemm", "Einsum", "ReduceSum", "ReduceMean", "Conv", "Attention", "CumSum"}
    assert not kinds & unordered
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert [(o.domain, o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")] == [("", 18)]
    typed = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in typed.value_info}
    scatters = [node for node in model.graph.node if node.op_type == "ScatterElements"]
    assert len(scatters) == -(-FRAMES // traced.module.group)
    for node in scatters:
        assert {a.name: a.s for a in node.attribute if a.name == "reduction"} == {"reduction": b"min"}
        assert types[node.output[0]] == onnx.TensorProto.INT64


def test_large_radius() -> None:
    module = Renderer(1, HEIGHT, WIDTH, POINTS, RendererSettings(radius=8, near=NEAR, background=BACKGROUND))
    poses, intrinsics = cameras(1)
    points = np.random.default_rng(3).uniform((-3, -3, 0.5), (3, 3, 3), (20, 3)).tolist()
    check(Traced(module, Path(), {}), scene(points, poses, intrinsics))


@pytest.mark.parametrize(
    "sizes", [(0, 12, 16, 48), (3, 0, 16, 48), (3, 12, 16, 0), (3, 12, 16, 2**31), (3, 4096, 4096, 9)]
)
def test_impossible_sizes_are_refused(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError):
        Renderer(*sizes)


def test_the_garden(tmp_path: Path) -> None:
    """A real cloud of 138,766 points seen by its own three cameras, at a quarter of their size."""
    cloud = garden_cloud()
    xyz, rgb, poses = cloud.xyz, cloud.rgb, cloud.world_to_camera
    height, width = cloud.height // 4, cloud.width // 4
    intrinsics = cloud.intrinsics.astype(np.float32).copy()
    intrinsics[:, :2] /= 4
    spare = 1000
    feed = {
        "xyz": np.concatenate([xyz, np.full((spare, 3), np.nan, np.float32)]),
        "rgb": np.concatenate([rgb, np.zeros((spare, 3), np.uint8)]),
        "num_points": np.array([len(xyz)], np.int32),
        "world_to_camera": poses.astype(np.float32),
        "intrinsics": intrinsics,
    }
    module = Renderer(len(poses), height, width, len(xyz) + spare, RendererSettings(radius=1))
    _, depth, hole_mask = check(trace(module, tmp_path), feed, draw_sorted)
    assert hole_mask.mean() < 0.5
    assert np.median(depth[hole_mask == 0]) > 0.1
