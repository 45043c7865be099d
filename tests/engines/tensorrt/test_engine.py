"""The running side, on stand-ins: binding, scratch memory as each family takes it, and failures in the logger's words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.engines.tensorrt.fakes import Engine
from tests.engines.tensorrt.test_plan import SPEC, F, T, Z
from videoscene_rt import BackendError
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.tensorrt import engine as adapter
from videoscene_rt.engines.tensorrt.capabilities import TENSORRT_8_6, TENSORRT_10, TENSORRT_RTX_1, Capabilities
from videoscene_rt.engines.tensorrt.engine import TensorRtBackend, TensorRtEngine


class Context:
    """An IExecutionContext that remembers what it was told."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.addresses: dict[str, int] = {}
        self.streams: list[int] = []
        self.scratch: tuple[int, ...] = ()

    def set_device_memory(self, pointer: int, size: int) -> None:
        self.scratch = (pointer, size)

    def set_tensor_address(self, name: str, pointer: int) -> bool:
        self.addresses[name] = pointer
        return True

    def execute_async_v3(self, stream: int) -> bool:
        self.streams.append(stream)
        return stream != 13


class RunnableEngine(Engine):
    """An ICudaEngine with contexts."""

    device_memory_size = 1000
    device_memory_size_v2 = 5000
    made: list[Context]

    def __init__(self, *tensors: tuple[str, str, str, tuple[int, ...]]) -> None:
        super().__init__(*tensors)
        self.made = []

    def create_execution_context(self, strategy: str) -> Context:
        self.made.append(Context(strategy))
        return self.made[-1]

    def create_execution_context_without_device_memory(self) -> Context:
        return self.create_execution_context("without")


class Device:
    """A CudaDevice."""

    name, compute_capability, cuda_version, stream_handle = "NVIDIA H100", "9.0", "13.0", 77

    def __init__(self) -> None:
        self.allocated: list[tuple[int, ...]] = []

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> SimpleNamespace:
        self.allocated.append(shape)
        return SimpleNamespace(pointer=4096 * len(self.allocated))


def use(monkeypatch: pytest.MonkeyPatch, can: Capabilities) -> None:
    log = SimpleNamespace(count=0, errors=lambda since: ["Error Code 1: Cuda Runtime (out of luck)"])
    module = SimpleNamespace(
        __version__="1.2.3", ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user")
    )
    monkeypatch.setattr(adapter, "package_with_log", lambda package: (module, can, log))


def make(monkeypatch: pytest.MonkeyPatch, can: Capabilities) -> tuple[TensorRtEngine, RunnableEngine, Device]:
    use(monkeypatch, can)
    inner, device = RunnableEngine(Z, T, F), Device()
    return TensorRtEngine(can.package, inner, SPEC, device), inner, device  # type: ignore[arg-type]


def view(name: str, **changes: Any) -> TensorView:
    tensor = {spec.name: spec for spec in (*SPEC.inputs, *SPEC.outputs)}[name]
    fields = {"pointer": 512, "dtype": tensor.dtype, "shape": tensor.shape, "device": "cuda", "owner": None, **changes}
    return TensorView(**fields)


@pytest.mark.parametrize(("can", "how", "size"), [(TENSORRT_8_6, "without", 1000), (TENSORRT_10, "user", 5000)])
def test_each_context_has_scratch_memory_of_its_own(
    can: Capabilities, how: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, inner, device = make(monkeypatch, can)
    engine.context(), engine.context()
    assert [context.how for context in inner.made] == [how, how]
    assert device.allocated == [(size,), (size,)]
    given = [getattr(context, "device_memory", None) or context.scratch for context in inner.made]
    assert given == ([4096, 8192] if can is TENSORRT_8_6 else [(4096, size), (8192, size)])


def test_scratch_memory_that_is_given_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, inner, device = make(monkeypatch, TENSORRT_10)
    engine.context(512 * 9)
    assert inner.made[0].scratch == (512 * 9, 5000)
    assert device.allocated == []


def test_scratch_memory_that_is_refused_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT logs why and returns nothing; without this the first run would fail, of another reason."""
    engine, _, _ = make(monkeypatch, TENSORRT_10)
    _, _, log = adapter.package_with_log("tensorrt")

    def refuse(self: Context, pointer: int, size: int) -> None:
        log.count += 1

    monkeypatch.setattr(Context, "set_device_memory", refuse)
    with pytest.raises(BackendError, match=r"graph policy: no scratch memory: .*out of luck"):
        engine.context(256)


def test_it_binds_once_and_enqueues_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, inner, _ = make(monkeypatch, TENSORRT_10)
    context = engine.context()
    with pytest.raises(BackendError, match="not bound: z_r, timestep, frames"):
        context.enqueue()
    for number, name in enumerate(("z_r", "timestep", "frames"), 1):
        context.bind(name, view(name, pointer=256 * number))
    context.enqueue()
    context.enqueue(5)
    assert inner.made[0].addresses == {"z_r": 256, "timestep": 512, "frames": 768}
    assert inner.made[0].streams == [77, 5]
    with pytest.raises(BackendError, match=r"graph policy failed: Error Code 1: Cuda Runtime \(out of luck\)"):
        context.enqueue(13)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "cpu"}, "wants z_r.* on cuda, not .* on cpu"),
        ({"dtype": "float16"}, "not float16"),
        ({"shape": (1, 3, 16, 4, 5)}, r"not float32\[1, 3, 16, 4, 5\]"),
        ({"pointer": 260}, "z_r must lie at a multiple of 256 bytes"),
    ],
)
def test_memory_that_does_not_fit_is_refused(
    changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _, _ = make(monkeypatch, TENSORRT_10)
    with pytest.raises(BackendError, match=words):
        engine.context().bind("z_r", view("z_r", **changes))
    with pytest.raises(BackendError, match="no input or output 'reward'"):
        engine.context().bind("reward", view("z_r"))


def test_no_context_is_an_error_in_the_loggers_words(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, inner, _ = make(monkeypatch, TENSORRT_10)
    monkeypatch.setattr(inner, "create_execution_context", lambda strategy: None)
    with pytest.raises(BackendError, match="graph policy: no context: .*out of luck"):
        engine.context()


def test_a_gpu_that_it_does_not_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, TENSORRT_RTX_1)
    with pytest.raises(
        BackendError, match=r"tensorrt-rtx runs on compute capability 8\.0, .*, not on 9\.0 \(NVIDIA H100\)"
    ):
        TensorRtBackend("tensorrt_rtx", {}, Device())  # type: ignore[arg-type]
    use(monkeypatch, TENSORRT_8_6)
    backend = TensorRtBackend("tensorrt", {}, Device())  # type: ignore[arg-type]
    assert (backend.name, backend.device) == ("tensorrt", "cuda")
    assert backend.versions == {"tensorrt": "1.2.3", "cuda-driver": "13.0"}


def test_a_plan_may_have_its_caches_in_fp16(published_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, TENSORRT_8_6)
    bundle = Bundle.open(published_bundle)
    spec = bundle.graph("decode_next")
    types = {"float32": "FLOAT", "uint8": "UINT8"}
    tensors = [
        (one.name, mode, "HALF" if "cache_1" in one.name else types[one.dtype], one.shape)
        for mode, ones in (("INPUT", spec.inputs), ("OUTPUT", spec.outputs))
        for one in ones
    ]
    monkeypatch.setattr(adapter, "deserialize", lambda *_: RunnableEngine(*tensors))
    backend = TensorRtBackend("tensorrt", lambda *_: b"plan", Device())  # type: ignore[arg-type]
    found = backend.load(bundle, "decode_next").spec
    assert found.input("cache_10").dtype == found.output("next_cache_10").dtype == "float16"
    assert found.input("cache_09") == spec.input("cache_09")
    tensors[0] = (*tensors[0][:2], "HALF", tensors[0][3])
    with pytest.raises(BackendError, match="latent is input float16"):
        backend.load(bundle, "decode_next")
