"""A whole measurement of a captured chain on a simulated device, beside it a tool and a counter that the test makes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.bench.beside.test_watching import Library
from tests.support.simulated_device import HashBackend, HashEngine, SimulatedDevice
from videoscene_rt import Pipeline
from videoscene_rt.bench.beside import nvidia_smi
from videoscene_rt.bench.beside.nvml import EnergyCounter
from videoscene_rt.bench.beside.sampler import Tool
from videoscene_rt.bench.step import measuring
from videoscene_rt.bench.step.found import Measured
from videoscene_rt.bench.step.measuring import measure_step, parts_of
from videoscene_rt.bench.step.request import BenchRequest
from videoscene_rt.chain import stage_engines
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.keep import keep_signature

SMI = """
import time
for number in range(100000):
    print(f"1980, 2619, 52, 300.00, 700.00, {1000 if number < 20 else 1466}, 97, 0x0000000000000000")
    time.sleep(0.01)
"""
MODES = (
    "ways to give inputs",
    "fixed rate",
    "frames as they come",
    "memory and copies",
    "stages one by one",
    "roofline",
)


class Loads:
    """Loads a pipeline on a simulated device as often as it is asked, and fails at the times that it is told."""

    def __init__(self, bundle: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int | None = None) -> None:
        self.bundle, self.times, self._fails_at = Bundle.open(bundle), 0, fails_at
        self.streaming: list[bool] = []
        device = SimulatedDevice(3)
        self._backend = HashBackend(device)
        monkeypatch.setattr(stage_engines, "watch_engine", self._backend.watch)
        keep = lambda _, height, width: HashEngine(keep_signature(height, width), device)  # noqa: E731
        monkeypatch.setattr(stage_engines, "keep_engine", keep)

    def __call__(self, request: BenchRequest, capture: bool = True) -> Pipeline:
        self.times += 1
        if self.times == self._fails_at:
            raise BackendError("the device has no 2 MiB left")
        self.streaming.append("stream" in request.modes)
        plan = plan_chain(self.bundle.manifest, streaming=self.streaming[-1])
        chain = Chain(plan, self.bundle, self._backend, slots=2, capture=capture)  # type: ignore[arg-type]
        chain.write("prompt", self.bundle.prompt())
        return Pipeline(self.bundle, chain, self._backend)  # type: ignore[arg-type]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a measurement asks of a GPU's machine, but for the device itself."""
    tool = Tool("nvidia-smi", lambda interval_ms: ("python3", "-c", SMI), nvidia_smi.parse)
    monkeypatch.setattr(measuring, "KINDS", {"onnxruntime": SimpleNamespace(device="cuda")})
    monkeypatch.setattr(measuring, "installed", lambda: tool)
    monkeypatch.setattr(measuring, "EnergyCounter", lambda: EnergyCounter(lambda name: Library()))
    monkeypatch.setattr(measuring, "free_device_bytes", lambda: None)


def request(bundle: Path, **told: Any) -> BenchRequest:
    return BenchRequest(bundle, **{"steps": 4, "starts": 0, "threads": 1, "every_way": True, "rate_hz": 1000.0, **told})


def test_every_part_on_a_device(small_bundle: Path, monkeypatch: pytest.MonkeyPatch, gpu: None) -> None:
    loads = Loads(small_bundle, monkeypatch)
    monkeypatch.setattr(measuring, "load", loads)
    told: list[str] = []
    kept: list[Measured] = []
    asked = request(small_bundle)
    record = measure_step(asked, told.append, keep=kept.append).record
    assert len(told) == parts_of(asked)
    assert record.failures == {}, record.failures
    assert record.identity.mode == "chain-graph"
    assert {"host", "enqueue", "device", "step.scene", "step.device", "step.page-locked", "step.scene.to-host", "submit.device",
            "submit.scene", "copy.in", "copy.out", "rate.age", "stream.spacing"} <= set(record.statistics)  # fmt: skip
    assert record.stream is not None
    assert record.stages is not None
    assert record.stages.captured
    assert record.stages.whole_ms == record.statistics["device"].p50 == 1.0
    assert record.beside is not None
    assert record.beside.sampler == "nvidia-smi"
    assert record.beside.energy is not None
    assert record.beside.energy.joules == 250
    assert record.costs is not None
    assert record.costs.device_peak_bytes == 466 << 20, "what was in use before it is not its own"
    assert any("no roofline: " in note for note in record.notes), "there is no such device here"
    done = [one.record.failures["the rest"] for one in kept[1:]]
    assert [words.split("'")[1] for words in done] == [*MODES, "starting anew"]
    assert kept[0].record.statistics.keys() == {"host", "enqueue", "device"}
    assert kept[0].record.beside is not None
    assert kept[0].record.beside.energy == record.beside.energy, "known as soon as the closed loop is over"


def test_a_device_that_fails_for_good(small_bundle: Path, monkeypatch: pytest.MonkeyPatch, gpu: None) -> None:
    """It fails in a part, in every part after it, and when the pipeline is closed; a tool's line is broken as well."""
    loads = Loads(small_bundle, monkeypatch, fails_at=2)
    monkeypatch.setattr(measuring, "load", loads)

    def gone(*given: Any, **named: Any) -> Any:
        raise BackendError("cuLaunchKernel failed: CUDA_ERROR_ILLEGAL_ADDRESS")

    for name in ("at_a_rate", "frames_as_they_come", "costs"):
        monkeypatch.setattr(measuring, name, gone)
    monkeypatch.setattr(Pipeline, "close", gone)
    monkeypatch.setattr(measuring.Watch, "found", gone)
    record = measure_step(request(small_bundle)).record
    parts = ("fixed rate", "frames as they come", "memory and copies", "the pipeline", "stages one by one")
    assert list(record.failures) == ["the machine beside the run", *parts]
    assert {record.failures[name] for name in parts[:4]} == {"cuLaunchKernel failed: CUDA_ERROR_ILLEGAL_ADDRESS"}
    assert record.statistics["device"].count == 4
    assert record.statistics["step.scene"].count == 4
    assert record.start is not None


def test_baselines_have_a_pipeline_of_their_own_that_may_fail(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch, gpu: None, tmp_path: Path
) -> None:
    """The third one to be loaded, after that of the stages: what was measured with the first one stays. The next baseline tries again."""
    loads = Loads(small_bundle, monkeypatch, fails_at=3)
    monkeypatch.setattr(measuring, "load", loads)
    child = tmp_path / "python"
    child.write_text("#!/bin/sh\necho 'no torch here' >&2\nexit 1\n")
    child.chmod(0o755)
    asked = request(
        small_bundle,
        modes=("stream",),
        rate_hz=None,
        baselines=("torch-eager", "torch-compile"),
        baseline_python=str(child),
    )
    measured = measure_step(asked)
    record = measured.record
    assert record.failures == {
        "baseline torch-eager": "the device has no 2 MiB left",
        "baseline torch-compile": "its process ended with 1; its last words: no torch here",
    }
    assert [(one.name, one.failure) for one in record.baselines] == [
        (name.removeprefix("baseline "), why) for name, why in record.failures.items()
    ]
    assert measured.traces["baseline torch-compile"] == "no torch here\n"
    assert (loads.times, loads.streaming) == (4, [True, False, False])
    assert record.stream is not None
    assert np.isfinite(record.statistics["device"].p50)
