"""The record of one measurement: what was measured, on what, how, and what came out. JSON, schema-versioned, written atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from videoscene_rt.bench.baselines.facts import BaselineFacts
from videoscene_rt.bench.beside.facts import Beside
from videoscene_rt.bench.chain_facts import ChainFacts
from videoscene_rt.bench.closed_loop import LoopSettings
from videoscene_rt.bench.percentiles import LEAST_SAMPLES, summarise
from videoscene_rt.bench.roofline.facts import RooflineFacts
from videoscene_rt.bench.step_facts import CostFacts, FramesFacts, RateFacts, StageFacts, StartFacts, StreamFacts
from videoscene_rt.bench.surroundings import GpuFacts, GpuState, Host
from videoscene_rt.engines.errors import InputError
from videoscene_rt.pictures.report import write_report

SCHEMA_VERSION: Literal[2] = 2
READABLE = (1, 2)
"""Schema 2 adds what `vsrt bench` measures and the estimates of early stopping; a record of schema 1 has none of it, and the rest alike."""
_SIZE_LIMIT = 64 << 20
Positive = Annotated[FiniteFloat, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Data):
    """The tuple that says what was measured. Two records of one identity may be compared as before and after.

    ``engine`` is the engine's identity digest, or ``baseline:`` and a baseline's name. ``mode`` is how it was launched:
    "enqueue", "cuda-graph", "eager", "compile", "reduce-overhead", "warm-start", and for the whole step "chain-graph",
    "chain-graph-device-launch" and "chain-enqueue". ``device`` is the GPU's or the processor's name.
    """

    bundle_sha256: Sha256
    preset: str
    graph: str
    engine: str
    backend: str
    precision: str
    mode: str
    device: str

    @property
    def runner(self) -> str:
        """What ran it, in a few words: "tensorrt fp16 cuda-graph"."""
        return f"{self.backend} {self.precision} {self.mode}"


class Inputs(_Data):
    """What went in: a digest of the graph's input specifications, and where the values came from ("seed 0")."""

    specs_sha256: Sha256
    source: str


class Statistics(_Data):
    """`videoscene_rt.bench.percentiles.Summary` in milliseconds; what needs more samples than there are is null."""

    count: int = Field(ge=1)
    mean: Positive
    std: Positive | None
    min: Positive
    max: Positive
    jitter: Positive | None
    p50: Positive
    p90: Positive | None
    p99: Positive | None
    p99_9: Positive | None
    early_p90: Positive | None = None
    early_p99: Positive | None = None
    early_p99_9: Positive | None = None

    @model_validator(mode="after")
    def _enough_samples(self) -> Statistics:
        for thousandths, value in ((900, self.p90), (990, self.p99), (999, self.p99_9)):
            if (value is not None) != (self.count >= LEAST_SAMPLES[thousandths]):
                raise ValueError(
                    f"p{thousandths / 10:g} is given for {LEAST_SAMPLES[thousandths]} samples and more, and there are {self.count}"
                )
        return self

    @classmethod
    def of(cls, samples_ms: np.ndarray[Any, np.dtype[np.float64]] | list[float]) -> Statistics:
        """Of samples in milliseconds.

        Raises:
            InputError: there are none, or one is negative or not finite.
        """
        return cls(**asdict(summarise(samples_ms)))


class Settling(_Data):
    """Whether the run had settled: drift between its first and last quarter; None where it was too short to tell."""

    drift: FiniteFloat | None
    settled: bool


class Record(_Data):
    """One measurement.

    ``statistics`` and ``samples_us`` are by series: "host" (start to done on the host's clock), "enqueue" (the host's own part),
    "device" (the device's clock), and others that ``mode`` explains. ``output_rms`` is the root mean square of each output:
    two runners of one graph on the same inputs agree in it, or one of them computes something else. ``rate``, ``stream``, ``stages``,
    ``costs``, ``start``, ``beside``, ``frames``, ``roofline`` and ``baselines`` are of `vsrt bench`; null where they were not measured.
    """

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    created: datetime = Field(default_factory=lambda: datetime.now(timezone.utc).replace(microsecond=0))
    identity: Identity
    inputs: Inputs
    settings: LoopSettings
    statistics: dict[str, Statistics] = Field(min_length=1)
    settling: Settling
    overhead_us: Positive | None = Field(description="what the harness itself takes for one iteration")
    setup_s: Positive | None = Field(default=None, description="loading, or compiling, until the first run was done")
    output_rms: dict[str, FiniteFloat | None] = Field(default_factory=dict, description="null: not finite")
    host: Host
    gpu: GpuFacts | None
    gpu_before: GpuState | None = None
    gpu_after: GpuState | None = None
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    samples_us: dict[str, list[Positive]] | None = None
    chain: ChainFacts | None = Field(default=None, description="of a whole step: how it ran, what it moved and kept")
    rate: RateFacts | None = None
    stream: StreamFacts | None = None
    stages: StageFacts | None = None
    costs: CostFacts | None = None
    start: StartFacts | None = None
    beside: Beside | None = None
    frames: FramesFacts | None = None
    roofline: RooflineFacts | None = None
    baselines: tuple[BaselineFacts, ...] = ()
    failures: dict[str, str] = Field(
        default_factory=dict, description="parts of which there is nothing, or not all, and why"
    )

    @model_validator(mode="after")
    def _samples_agree(self) -> Record:
        for series, samples in (self.samples_us or {}).items():
            if series not in self.statistics or self.statistics[series].count != len(samples):
                raise ValueError(f"samples_us.{series} has {len(samples)} samples; its statistics are of others")
        return self


def rounded_us(samples_ms: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]) -> dict[str, list[float]]:
    """Samples as the record keeps them: microseconds, rounded to 0.1."""
    return {series: [round(value * 1e3, 1) for value in samples.tolist()] for series, samples in samples_ms.items()}


def write_record(path: str | os.PathLike[str], record: Record) -> None:
    """Write a record under a temporary name, then rename.

    Raises:
        InputError: the path cannot be written.
    """
    write_report(path, record)


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read a record.

    Raises:
        InputError: it is missing, truncated, of another schema, of zero samples, or otherwise wrong; says which.
    """
    where = Path(path)
    try:
        if where.stat().st_size > _SIZE_LIMIT:
            raise InputError(f"{where} is larger than {_SIZE_LIMIT >> 20} MiB: it is no benchmark record")
        data: Any = json.loads(where.read_bytes())
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where} is not whole JSON: {error}", "it may be truncated: copy or measure it again"
        ) from error
    _check_kind(where, data)
    try:
        return Record.model_validate_json(json.dumps(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the record"
        raise InputError(f"{where}: {place}: {first['msg']}", "measure it again") from error


def _check_kind(where: Path, data: Any) -> None:
    if not isinstance(data, dict) or "schema_version" not in data:
        raise InputError(f"{where} is no benchmark record: it has no schema_version")
    version = data["schema_version"]
    if version not in READABLE or not isinstance(version, int) or isinstance(version, bool):
        raise InputError(
            f"{where} has schema version {version!r}; this videoscene-rt reads {' and '.join(map(str, READABLE))}",
            "read it with the version that wrote it, or measure it again",
        )
    statistics = data.get("statistics")
    for series, entry in statistics.items() if isinstance(statistics, dict) else ():
        if isinstance(entry, dict) and entry.get("count") == 0:
            raise InputError(f"{where}: {series} has zero samples: nothing was measured", "measure it again")
