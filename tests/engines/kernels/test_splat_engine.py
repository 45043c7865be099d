"""The renderer's engine with its launches done on the host: sizes, scratch, arguments and order are right without a GPU."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from tests.engines.kernels.cpu_library import CpuLibrary
from tests.engines.kernels.feeds import INPUTS, OUTPUTS, Sizes, assert_same, expected, random_feed, renderer_signature
from tests.engines.kernels.host_driver import HostDriverDevice, on_device
from videoscene_rt import BackendError
from videoscene_rt.engines.kernels import compile as compiling
from videoscene_rt.engines.kernels.plan import SplatTuning
from videoscene_rt.engines.kernels.splat import SplatEngine
from videoscene_rt.engines.preset import RendererSettings
from videoscene_rt.engines.specs import Signature

SIZES = Sizes(7, 20, 36, 600)
_indices = count(1000)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> CpuLibrary:
    return CpuLibrary(tmp_path_factory.mktemp("splat_engine"))


def engine_on(device: HostDriverDevice, sizes: Sizes, radius: int, tuning: SplatTuning) -> SplatEngine:
    canvas = sizes.canvas(radius)
    settings = RendererSettings(radius=radius, near=canvas.near, background=canvas.background)
    return SplatEngine(device, renderer_signature(sizes), settings, tuning)  # type: ignore[arg-type]


@pytest.fixture
def device(library: CpuLibrary, monkeypatch: pytest.MonkeyPatch) -> HostDriverDevice:
    monkeypatch.setattr(compiling, "compile_cubin", lambda *_: b"code")
    return HostDriverDevice(library, 60_000, next(_indices))


@pytest.mark.parametrize("radius", [0, 1, 2, 8])
@pytest.mark.parametrize(
    "tuning",
    [SplatTuning(), SplatTuning(group_frames=3), SplatTuning(cameras=3, threads=64)],
    ids=["default", "groups of three", "other blocks"],
)
def test_it_draws_the_z_buffer(
    device: HostDriverDevice, radius: int, tuning: SplatTuning, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if (tuning.cameras, tuning.threads) != (4, 256):
        flags = (f"-DVSRT_CAMERAS={tuning.cameras}", f"-DVSRT_THREADS={tuning.threads}")
        device = HostDriverDevice(CpuLibrary(tmp_path_factory.mktemp("other"), flags), 60_000, next(_indices))
    engine = engine_on(device, SIZES, radius, tuning)
    assert engine.plan.groups > 1
    margin = 4096
    scratch = np.full(engine.scratch_bytes + 2 * margin, 0x5A, np.uint8)
    offset = margin + -(scratch.ctypes.data + margin) % 256
    context = engine.context(scratch.ctypes.data + offset)
    memory = {t.name: np.full(t.shape, 0x5A, t.dtype) for t in (*engine.spec.inputs, *engine.spec.outputs)}
    for name, array in memory.items():
        context.bind(name, on_device(array))
    for seed in range(2):
        feed = random_feed(SIZES, seed)
        for name in INPUTS:
            memory[name][...] = feed[name]
        context.enqueue(3)
        assert_same([memory[name] for name in OUTPUTS], expected(feed, SIZES.canvas(radius)))
    assert {stream for _, stream in device.launched} == {3}
    outside = np.concatenate([scratch[:offset], scratch[offset + engine.scratch_bytes :]])
    assert (outside == 0x5A).all()


def test_contexts_with_memory_of_their_own(device: HostDriverDevice) -> None:
    engine = engine_on(device, SIZES, 1, SplatTuning())
    results = []
    for seed in (1, 2):
        context = engine.context()
        feed = random_feed(SIZES, seed)
        memory = {**feed, **{t.name: np.zeros(t.shape, t.dtype) for t in engine.spec.outputs}}
        for name, array in memory.items():
            context.bind(name, on_device(array))
        context.enqueue()
        results.append([memory[name] for name in OUTPUTS])
        assert_same(results[-1], expected(feed, SIZES.canvas(1)))
    assert device.launched[0] == ("vsrt_splat_prepare", device.stream_handle)


def test_what_is_refused(device: HostDriverDevice) -> None:
    engine = engine_on(device, SIZES, 1, SplatTuning())
    context = engine.context()
    with pytest.raises(BackendError, match="not bound: xyz"):
        context.enqueue()
    with pytest.raises(BackendError, match="no input or output 'reward'"):
        context.bind("reward", on_device(np.zeros(1, np.float32)))
    with pytest.raises(BackendError, match="wants xyz"):
        context.bind("xyz", on_device(np.zeros((SIZES.points, 4), np.float32)))
    with pytest.raises(BackendError, match="multiple of 16 bytes"):
        engine.context(8)
    spec = renderer_signature(SIZES)
    lame = Signature(name="renderer", inputs=spec.inputs[:4], outputs=spec.outputs)
    with pytest.raises(BackendError, match="graph renderer is not the renderer that the kernels compute"):
        SplatEngine(device, lame, RendererSettings())  # type: ignore[arg-type]
    policy = Signature(name="policy", inputs=(), outputs=())
    with pytest.raises(BackendError, match="graph policy is not the renderer"):
        SplatEngine(device, policy, RendererSettings())  # type: ignore[arg-type]


def test_a_launch_that_the_driver_refuses(device: HostDriverDevice) -> None:
    engine = engine_on(device, SIZES, 1, SplatTuning(threads=64))  # the library expects 256: other numbers of blocks
    context = engine.context()
    feed = random_feed(SIZES, 1)
    for tensor in (*engine.spec.inputs, *engine.spec.outputs):
        context.bind(tensor.name, on_device(feed.get(tensor.name, np.zeros(tensor.shape, tensor.dtype))))
    with pytest.raises(BackendError, match="a kernel cannot be launched on host: CUDA_ERROR_INVALID_VALUE"):
        context.enqueue()


def test_the_same_source_is_compiled_once(device: HostDriverDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(compiling, "compile_cubin", lambda *arguments: compiled.append(arguments) or b"code")
    for radius in (1, 1, 2):
        engine_on(device, SIZES, radius, SplatTuning())
    assert len(compiled) == 2
    assert compiled[0][3] == {"VSRT_THREADS": 256, "VSRT_CAMERAS": 4, "VSRT_PREREAD": 0, "VSRT_RADIUS": 1}
