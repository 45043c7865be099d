"""How the builder is configured in each family: flags, tactic sources, level, workspace."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.engines.tensorrt.fakes import Layer, Network, Tensor
from videoscene_rt.engines.tensorrt import worker
from videoscene_rt.engines.tensorrt.capabilities import TENSORRT_8_6, TENSORRT_10, TENSORRT_RTX_1, Capabilities
from videoscene_rt.engines.tensorrt.request import Job
from videoscene_rt.engines.tensorrt.worker import configure


class Config:
    """An IBuilderConfig that remembers what it was told."""

    def __init__(self) -> None:
        self.flags = {"TF32"}
        self.told: dict[str, Any] = {}

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.told[pool] = size

    def set_tactic_sources(self, sources: int) -> None:
        self.told["sources"] = sources


class Events:
    """What the parent would hear."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def message(self, severity: str, text: str) -> None:
        self.heard.append((severity, text))

    def progress(self, phase: str, fraction: float) -> None:
        self.heard.append((phase, str(fraction)))


def names(*words: str) -> SimpleNamespace:
    return SimpleNamespace(**{word: word for word in words})


class Monitor:
    """An IProgressMonitor."""


MODULE = SimpleNamespace(
    BuilderFlag=names("TF32", "FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"),
    MemoryPoolType=names("WORKSPACE"),
    TacticSource=SimpleNamespace(EDGE_MASK_CONVOLUTIONS=3, JIT_CONVOLUTIONS=4),
    IProgressMonitor=Monitor,
    float32="FLOAT",
    float16="HALF",
    TensorFormat=SimpleNamespace(LINEAR=0),
)


def configured(
    can: Capabilities, precision: Any, sources: list[str] | None, layers: dict[str, str]
) -> tuple[Config, int, Events]:
    job = Job("g.onnx", "plan", can.package, precision, layers, 64, 2, sources, None)
    config, events = Config(), Events()
    network = Network([Layer("m", "LayerType.MATRIX_MULTIPLY", [Tensor("x")], [Tensor("a")])], [Tensor("y")])
    builder = SimpleNamespace(create_builder_config=lambda: config)
    _, typed = configure(MODULE, can, builder, network, job, events)  # type: ignore[arg-type]
    return config, typed, events


@pytest.mark.parametrize(
    ("precision", "flags"),
    [
        ("fp32", set()),
        ("fp16", {"FP16", "OBEY_PRECISION_CONSTRAINTS"}),
        ("int8", {"FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"}),
    ],
)
def test_8_6_is_told_by_flags_and_layers(precision: str, flags: set[str]) -> None:
    config, typed, events = configured(TENSORRT_8_6, precision, ["JIT_CONVOLUTIONS"], {"m": "fp16", "gone": "fp32"})
    assert config.flags == flags, "and never TF32"
    assert typed == (0 if precision == "fp32" else 1)
    assert config.told == {"WORKSPACE": 64 << 20, "sources": 1 << 4}
    assert config.builder_optimization_level == 2  # type: ignore[attr-defined]
    assert config.max_aux_streams == 0  # type: ignore[attr-defined]
    assert not hasattr(config, "progress_monitor")
    assert any("gone" in text for _, text in events.heard) == (precision != "fp32")


def test_8_6_without_layer_precisions_is_free_to_choose() -> None:
    assert configured(TENSORRT_8_6, "fp16", [], {})[0].flags == {"FP16"}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_typed_networks_need_no_flags(precision: str) -> None:
    sources = ["EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"]
    config, typed, _ = configured(TENSORRT_10, precision, sources, {"m": "fp16"})
    assert (config.flags, typed) == (set(), 0)
    assert config.told["sources"] == 1 << 3 | 1 << 4
    assert hasattr(config, "progress_monitor")
    assert config.max_aux_streams == 0  # type: ignore[attr-defined]
    config, typed, _ = configured(TENSORRT_RTX_1, precision, None, {})
    assert (config.flags, typed) == (set(), 0)
    assert "sources" not in config.told


@pytest.mark.parametrize(("can", "dtype"), [(TENSORRT_8_6, "HALF"), (TENSORRT_10, "FLOAT")])
def test_8_6_alone_is_told_the_types_of_caches(can: Capabilities, dtype: str) -> None:
    """A typed network has them from its graph."""
    job = Job("g.onnx", "plan", can.package, "fp16", {}, None, 3, None, None, half=["cache_00"])
    cache = Tensor("cache_00")
    network = Network([], [Tensor("y")], [Tensor("x"), cache])
    configure(MODULE, can, SimpleNamespace(create_builder_config=Config), network, job, Events())  # type: ignore[arg-type]
    assert cache.dtype == dtype


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (OSError(28, "No space left on device", "/d/plan"), "tensorrt: /d/plan: No space left on device"),
        (
            TypeError("set_memory_pool_limit(): incompatible function arguments.\n    1. (self: x, y: z) -> None"),
            "tensorrt: TypeError: set_memory_pool_limit(): incompatible function arguments.",
        ),
        (MemoryError(), "tensorrt: MemoryError"),
    ],
)
def test_whatever_is_raised_is_told_in_one_line(
    error: Exception,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(job: Job, events: object) -> None:
        raise error

    monkeypatch.setattr(worker, "build", fails)
    monkeypatch.setattr(worker, "_live_and_die_quietly", lambda parent: None)
    Job("g.onnx", "plan", "tensorrt", "fp16", {}, 64, 2, None, None).write(tmp_path / "job.json")
    assert worker.main([str(tmp_path / "job.json")]) == 3
    told = capsys.readouterr()
    assert json.loads(told.out) == {"error": {"problem": problem, "remedy": None}}
    assert "Traceback" in told.err, "for who looks closer"


def test_a_timing_cache_that_cannot_be_kept_does_not_cost_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plan(bytes):
        nbytes = 6

    log = SimpleNamespace(count=0)
    module = SimpleNamespace(__version__="8.6.1", Builder=lambda log: builder)
    builder = SimpleNamespace(build_serialized_network=lambda network, config: Plan(b"a plan"))

    def full(config: object, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(worker, "open_package", lambda package: (module, TENSORRT_8_6))
    monkeypatch.setattr(worker, "make_log", lambda module, tell: log)
    monkeypatch.setattr(worker, "parse", lambda *_: SimpleNamespace(num_layers=1))
    monkeypatch.setattr(worker, "configure", lambda *_: (None, 0))
    monkeypatch.setattr(worker, "save_timings", full)
    job = Job("g.onnx", str(tmp_path / "plan"), "tensorrt", "fp16", {}, None, 3, [], str(tmp_path / "timings"))
    events = Events()
    assert worker.build(job, events)["bytes"] == 6  # type: ignore[arg-type]
    assert (tmp_path / "plan").read_bytes() == b"a plan"
    assert any("is not kept: No space left on device" in text for _, text in events.heard)
