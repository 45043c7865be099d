"""The renderer's kernels on a GPU: every bit of NumPy's z-buffer and of the traced graph; captured and not; again and again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.engines.kernels.feeds import (
    INPUTS,
    OUTPUTS,
    Feed,
    Sizes,
    assert_same,
    expected,
    random_feed,
    real_feed,
    renderer_signature,
)
from tests.support.zbuffer import Canvas
from videoscene_rt import BackendError
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.cuda.memory import CudaMemory
from videoscene_rt.engines.kernels.plan import SplatTuning
from videoscene_rt.engines.kernels.splat import SplatContext, SplatEngine
from videoscene_rt.engines.preset import RendererSettings

pytestmark = pytest.mark.gpu

SIZES = Sizes(5, 24, 40, 3000)
TUNINGS = {
    "default": SplatTuning(),
    "one frame a group": SplatTuning(group_frames=1),
    "two frames a group": SplatTuning(group_frames=2),
    "a look before": SplatTuning(preread=True, group_frames=2),
    "other blocks": SplatTuning(threads=128, cameras=2, point_blocks=3, group_frames=3),
}


class Rig:
    """An engine of these sizes with memory bound to it; what is not written keeps a pattern that no right result has."""

    def __init__(self, cuda: CudaDevice, sizes: Sizes, canvas: Canvas, tuning: SplatTuning | None = None) -> None:
        settings = RendererSettings(radius=canvas.radius, near=canvas.near, background=canvas.background)
        self.cuda = cuda
        self.engine = SplatEngine(cuda, renderer_signature(sizes), settings, tuning)
        self.context: SplatContext = self.engine.context()
        self.memory: dict[str, CudaMemory] = {}
        for tensor in (*self.engine.spec.inputs, *self.engine.spec.outputs):
            self.memory[tensor.name] = cuda.allocate(tensor.dtype, tensor.shape)
            self.context.bind(tensor.name, self.memory[tensor.name].view())

    def write(self, feed: Feed) -> None:
        """Write the inputs, and spoil the outputs."""
        for name in INPUTS:
            self.memory[name].write(feed[name])
        for tensor in self.engine.spec.outputs:
            spoilt = np.full(tensor.shape, np.nan if tensor.dtype == "float32" else 0x5A, tensor.dtype)
            self.memory[tensor.name].write(spoilt)

    def read(self) -> list[np.ndarray]:
        """The outputs."""
        return [self.memory[name].read() for name in OUTPUTS]

    def render(self, feed: Feed) -> list[np.ndarray]:
        """Once, on the device's own stream."""
        self.write(feed)
        self.context.enqueue()
        self.cuda.synchronize()
        return self.read()


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_random_clouds(cuda: CudaDevice, radius: int, tuning: str) -> None:
    canvas = SIZES.canvas(radius)
    rig = Rig(cuda, SIZES, canvas, TUNINGS[tuning])
    for seed in range(5):
        feed = random_feed(SIZES, seed)
        assert_same(rig.render(feed), expected(feed, canvas), f"seed {seed}")


@pytest.mark.parametrize("size", [(13, 17), (1, 1), (3, 5), (35, 127), (33, 129), (70, 260)])
@pytest.mark.parametrize("radius", [0, 1, 2, 3, 8])
def test_sizes_that_are_no_multiple_of_anything(cuda: CudaDevice, size: tuple[int, int], radius: int) -> None:
    sizes = Sizes(3, *size, 2000)
    feed = random_feed(sizes, radius)
    canvas = sizes.canvas(radius)
    assert_same(Rig(cuda, sizes, canvas, SplatTuning(group_frames=2)).render(feed), expected(feed, canvas))


def test_the_number_of_points_is_data(cuda: CudaDevice) -> None:
    canvas = SIZES.canvas(1)
    rig = Rig(cuda, SIZES, canvas)
    for count in (-5, 0, 1, 2, SIZES.points - 1, SIZES.points, SIZES.points + 1000, 7):
        feed = random_feed(SIZES, 9, count=SIZES.points)
        feed["num_points"][0] = count
        found = rig.render(feed)
        assert_same(found, expected(feed, canvas), f"{count} points")
        assert found[2].all() == (count <= 0)


def test_many_points_in_one_pixel(cuda: CudaDevice) -> None:
    """Every thread wants the same few pixels: the nearest wins, then the lowest index."""
    sizes = Sizes(2, 8, 8, 50_000)
    feed = random_feed(sizes, 10, count=sizes.points)
    rng = np.random.default_rng(10)
    feed["xyz"][:, :2] = rng.uniform(-1e-3, 1e-3, (sizes.points, 2))
    feed["xyz"][:, 2] = rng.integers(2, 5, sizes.points)
    for preread in (True, False):
        rig = Rig(cuda, sizes, sizes.canvas(1), SplatTuning(preread=preread))
        for _ in range(5):
            assert_same(rig.render(feed), expected(feed, sizes.canvas(1)))


@pytest.mark.parametrize("radius", [0, 1, 2])
@pytest.mark.parametrize("which", ["motorcycle", "garden"])
def test_real_clouds(cuda: CudaDevice, which: str, radius: int) -> None:
    feed = real_feed(which, 17, 256, 256, max_points=400_000)
    sizes = Sizes(17, 256, 256, 400_000)
    canvas = sizes.canvas(radius)
    found = Rig(cuda, sizes, canvas).render(feed)
    few = slice(0, 17, 4)
    feed |= {name: feed[name][few] for name in ("world_to_camera", "intrinsics")}
    wanted = expected(feed, canvas)
    assert_same([part[few] for part in found], wanted)
    assert wanted[2].mean() < 0.9, "it is in view"


def test_the_published_size(cuda: CudaDevice) -> None:
    """The garden on 49 frames of 480×720, buffers of a million points: every bit of some frames of several groups."""
    feed = real_feed("garden", 49, 480, 720, max_points=1_000_000)
    sizes = Sizes(49, 480, 720, 1_000_000)
    canvas = sizes.canvas(1)
    rig = Rig(cuda, sizes, canvas)
    found = rig.render(feed)
    few = np.array([0, 6, 7, 24, 48])
    feed |= {name: feed[name][few] for name in ("world_to_camera", "intrinsics")}
    assert_same([part[few] for part in found], expected(feed, canvas))
    assert rig.engine.plan.groups > 1


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, Sizes, Canvas]:
    """The traced graph under ONNX Runtime on the CPU: of VSRT_BUNDLE, or exported here where torch is."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="no ONNX Runtime to run the traced graph")
    named = os.environ.get("VSRT_BUNDLE")
    if named:
        bundle = Bundle.open(Path(named))
        preset, path = bundle.manifest.preset, bundle.graph_path("renderer")
        sizes = Sizes(preset.frames, preset.height, preset.width, preset.max_points)
        settings = preset.renderer
    else:
        torch = pytest.importorskip("torch", reason="no torch to trace the renderer, and VSRT_BUNDLE names no bundle")
        from videoscene_rt.export.renderer import Renderer

        sizes, settings = SIZES, RendererSettings(radius=2, near=0.25, background=(7, 90, 201))
        path = tmp_path_factory.mktemp("traced") / "renderer.onnx"
        example = tuple(torch.from_numpy(random_feed(sizes, 0)[name]) for name in INPUTS)
        module = Renderer(sizes.frames, sizes.height, sizes.width, sizes.points, settings).eval()
        torch.onnx.export(
            module,
            example,
            path,
            dynamo=True,
            opset_version=18,
            input_names=INPUTS,
            output_names=OUTPUTS,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session, sizes, Canvas(sizes.height, sizes.width, settings.radius, settings.near, settings.background)


def test_it_is_the_traced_graph(cuda: CudaDevice, traced: tuple[object, Sizes, Canvas]) -> None:
    session, sizes, canvas = traced
    rig = Rig(cuda, sizes, canvas)
    for seed in range(3):
        feed = random_feed(sizes, seed)
        assert_same(rig.render(feed), session.run(list(OUTPUTS), feed), f"seed {seed}")  # type: ignore[attr-defined]


@pytest.mark.parametrize("tuning", ["default", "two frames a group"])
def test_captured_and_replayed(cuda: CudaDevice, tuning: str) -> None:
    """A graph reads what the buffers hold when it runs, and does what the calls did, on another stream as well."""
    canvas = SIZES.canvas(1)
    rig = Rig(cuda, SIZES, canvas, TUNINGS[tuning])
    stream = cuda.new_stream()
    rig.context.enqueue(stream.handle)
    stream.synchronize()
    replay = cuda.capture(stream, lambda: rig.context.enqueue(stream.handle))
    for seed in range(20, 24):
        feed = random_feed(SIZES, seed, count=100 * (seed - 19))
        once = rig.render(feed)
        rig.write(feed)
        cuda.synchronize()
        for _ in range(3):
            replay(stream)
        stream.synchronize()
        assert_same(rig.read(), once, f"seed {seed}")
        assert_same(once, expected(feed, canvas), f"seed {seed}")


def test_scratch_of_the_caller_may_hold_anything(cuda: CudaDevice) -> None:
    canvas = SIZES.canvas(2)
    engine = SplatEngine(
        cuda, renderer_signature(SIZES), RendererSettings(radius=2, near=canvas.near, background=canvas.background)
    )
    scratch = cuda.allocate("uint8", (engine.scratch_bytes,))
    own, given = engine.context(), engine.context(scratch.pointer)
    feed = random_feed(SIZES, 30)
    results = []
    for context in (own, given):
        memory = {t.name: cuda.allocate(t.dtype, t.shape) for t in (*engine.spec.inputs, *engine.spec.outputs)}
        for name, place in memory.items():
            context.bind(name, place.view())
        for name in INPUTS:
            memory[name].write(feed[name])
        for value in (0, 0x5A, 0xFF):
            scratch.write(np.full(engine.scratch_bytes, value, np.uint8))
            context.enqueue()
            results.append([memory[name].read() for name in OUTPUTS])
    for result in results:
        assert_same(result, expected(feed, canvas))


def test_a_thousand_runs_are_one(cuda: CudaDevice) -> None:
    rig = Rig(cuda, SIZES, SIZES.canvas(1))
    first = rig.render(random_feed(SIZES, 40))
    for _ in range(1000):
        rig.context.enqueue()
    cuda.synchronize()
    assert_same(rig.read(), first)


def test_what_cannot_be_bound(cuda: CudaDevice) -> None:
    engine = SplatEngine(cuda, renderer_signature(SIZES), RendererSettings())
    context = engine.context()
    with pytest.raises(BackendError, match="not bound: xyz"):
        context.enqueue()
    with pytest.raises(BackendError, match="no input or output 'reward'"):
        context.bind("reward", cuda.allocate("float32", (1,)).view())
    with pytest.raises(BackendError, match="wants xyz"):
        context.bind("xyz", cuda.allocate("float16", (SIZES.points, 3)).view())
    shifted = cuda.allocate("float32", (SIZES.points + 1, 3)).view()
    with pytest.raises(BackendError, match="multiple of 16"):
        context.bind("xyz", type(shifted)(shifted.pointer + 4, "float32", (SIZES.points, 3), "cuda", shifted.owner))


def test_a_source_that_cannot_be_compiled(cuda: CudaDevice) -> None:
    from videoscene_rt.engines.kernels.compile import compile_cubin

    with pytest.raises(BackendError, match=r"broken.cu cannot be compiled.*broken.cu\(1\): error") as error:
        compile_cubin(b"int x = ;\n", "broken.cu", cuda.compute_capability)
    assert error.value.exit_code == 3
