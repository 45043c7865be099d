"""A record that has everything a page can show."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.bench.records import record
from tests.bench.test_chain_table import FACTS, SPANS
from videoscene_rt.bench.baselines.facts import BaselineFacts, Round
from videoscene_rt.bench.beside.facts import Beside, Energy, HostLoad, Moment, PowerMode
from videoscene_rt.bench.record import Record, Statistics, rounded_us
from videoscene_rt.bench.roofline.facts import Rates, RooflineFacts, StageCounts
from videoscene_rt.bench.step_facts import CostFacts, RateFacts, StageFacts, StartFacts, StreamFacts
from videoscene_rt.bench.surroundings import GpuFacts

SERIES = {"step.scene": 2.8, "device": 1.7, "host": 1.75, "enqueue": 0.06, "copy.in": 0.3, "rate.age": 3.0, "rate.oldest": 52.9,
          "rate.step": 2.9, "rate.wait": 0.1, "stream.first-frame": 3.2, "stream.spacing": 1.8}  # fmt: skip


def full_record(scale: float = 1.0, who: dict[str, str] | None = None, **changes: Any) -> Record:
    """A step of a GPU in every mode, throttled at times; ``scale`` makes it slower."""
    rng = np.random.default_rng(3)
    samples = {name: ms * scale * (1 + 0.05 * rng.gamma(2, 1, 700)) for name, ms in SERIES.items()}
    moments = tuple(
        Moment(at_s=t / 10, clock_mhz=1980 - 300 * (t > 40), temperature_c=40 + t / 4, power_w=300 + t, power_limit_w=700,
               memory_mib=1466, throttling=("power cap",) if t > 40 else ())
        for t in range(60)
    )  # fmt: skip
    fields: dict[str, Any] = {
        "statistics": {name: Statistics.of(values) for name, values in samples.items()},
        "samples_us": rounded_us(samples),
        "chain": FACTS,
        "gpu": GpuFacts(name="a GPU", driver="580.1", memory_mib=80_000, compute_capability="9.0", count=1),
        "rate": RateFacts(rate_hz=20, deadline_ms=50, arrivals=702, done=700, dropped=2, missed=1, overhead_us=0.7),
        "stream": StreamFacts(group=9, together=2, frames_per_second=5000.0, how="whole clips: <all> at once"),
        "stages": StageFacts(uncaptured=SPANS, sum_ms=0.75, whole_ms=1.7, captured=True),
        "costs": CostFacts(process_peak_bytes=1 << 30, device_peak_bytes=3 << 30, python_transient_bytes=175_599, python_blocks=4,
                           bytecodes={"scene": 14_790}, step_over_chain=(1.6, 1.5, 1.7)),
        "start": StartFacts(load_s=0.7, first_step_s=0.01, warm_s=(1.4, 1.5, 1.6), parts_ms={"verify": 90.0, "student": 100.0}),
        "beside": Beside(sampler="nvidia-smi", moments=moments, throttling={"power cap": 0.3}, power_mode=PowerMode(name="MAXN", number=0),
                         clocks_locked=True, energy=Energy(joules=420.0, seconds=1.4, steps=700, source="NVML's counter", of="the GPU"),
                         host_before=HostLoad(load=0.5), host_after=HostLoad(load=1.5)),
        "roofline": RooflineFacts(
            rates=Rates(device="a GPU", bytes_per_s=3e12, operations_per_s={"fp32": 6e13, "fp16": 6e14}, how="measured: made up"),
            stages=(
                StageCounts(stage="render", graph="renderer", precision="fp32", operations=0, weights=0,
                            io_bytes=60_000_000, between_elements=0),
                StageCounts(stage="encode_images", graph="encode_images", precision="fp16", operations=150_000_000_000, weights=800_000,
                            io_bytes=400_000, between_elements=0),
            ),
        ),
        "baselines": (
            BaselineFacts(name="torch-eager", precision="fp16", steps=9, setup_s=4.0, output_rms={"z_0": 1.0}, rounds=tuple(
                Round(subject_ms=1.7, baseline_ms=1.7 * ratio) for ratio in (9.5, 10.0, 10.5))),
            BaselineFacts(name="torch-compile", precision="fp16", steps=9, setup_s=40.0, output_rms={"z_0": 3.0}, rounds=(
                Round(subject_ms=1.7, baseline_ms=1.19),)),
            BaselineFacts(name="onnxruntime-cuda", precision="fp16", failure="onnxruntime-gpu is not installed"),
        ),
        "notes": ("weights are untrained & <made> from seed 0",),
    }  # fmt: skip
    told = {
        "graph": "chain",
        "backend": "tensorrt",
        "precision": "fp16",
        "mode": "chain-graph",
        "engine": "engines:0",
        "device": "a GPU",
    }
    return record(None, {**told, **(who or {})}, **{**fields, **changes})
