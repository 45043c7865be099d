"""How the builder is configured in each family: flags, tactic sources, level, workspace."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.engines.tensorrt.fakes import Layer, Network, Tensor
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
