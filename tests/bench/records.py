"""A record to change in tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from videoscene_rt.bench.closed_loop import LoopSettings
from videoscene_rt.bench.record import Identity, Inputs, Record, Settling, Statistics, rounded_us
from videoscene_rt.bench.surroundings import Host


def identity(**changes: str) -> Identity:
    fields = {
        "bundle_sha256": "a" * 64,
        "preset": "small",
        "graph": "student",
        "engine": "graph:0",
        "backend": "onnxruntime",
        "precision": "fp32",
        "mode": "enqueue",
        "device": "a processor",
    }
    return Identity(**{**fields, **changes})


def record(samples: np.ndarray[Any, Any] | None = None, who: dict[str, str] | None = None, **changes: Any) -> Record:
    values = np.full(100, 2.0) if samples is None else samples
    fields: dict[str, Any] = {
        "identity": identity(**(who or {})),
        "inputs": Inputs(specs_sha256="b" * 64, source="seed 0"),
        "settings": LoopSettings(),
        "statistics": {"host": Statistics.of(values)},
        "settling": Settling(drift=0.01, settled=True),
        "overhead_us": 0.4,
        "output_rms": {"z_0": 1.0},
        "host": Host(system="Linux", architecture="x86_64", processor=None, cores_usable=2),
        "gpu": None,
        "versions": {"numpy": np.__version__},
        "samples_us": rounded_us({"host": values}),
    }
    return Record(**{**fields, **changes})
