"""The record of a soak: JSON, schema-versioned. It is written again and again while the soak runs."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from videoscene_rt.bench.beside.facts import Beside
from videoscene_rt.bench.record import Identity, Inputs, Statistics
from videoscene_rt.bench.soak.limits import Limits
from videoscene_rt.bench.step_facts import RateFacts
from videoscene_rt.bench.surroundings import GpuFacts, Host

SCHEMA_VERSION: Literal[1] = 1
State = Literal["running", "done", "interrupted", "failed"]
Positive = Annotated[FiniteFloat, Field(ge=0)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SoakSettings(_Data):
    """How a soak is run.

    Attributes:
        seconds: in all. every_s: between two looks at memory and output. warmup_s: what nothing is judged of.
        rate_hz: inputs a second; None for a closed loop.
        deadline_ms: from an input's arrival to its result; None for a period.
        by_deadline: steps are told what is left of it, see `Pipeline.step`.
    """

    seconds: FiniteFloat = Field(gt=0)
    every_s: FiniteFloat = Field(gt=0)
    warmup_s: FiniteFloat = Field(ge=0)
    rate_hz: FiniteFloat | None = Field(default=None, gt=0)
    deadline_ms: FiniteFloat | None = Field(default=None, gt=0)
    by_deadline: bool = False


class Look(_Data):
    """The process at one moment, its garbage collected; null where the system does not say.

    Attributes:
        at_s: since the soak began. steps: made so far.
        resident_bytes: of the process. python_blocks: memory blocks that Python holds (`sys.getallocatedblocks`).
        device_free_bytes: of the device, whoever uses the rest.
    """

    at_s: Positive
    steps: int
    resident_bytes: int | None
    python_blocks: int
    device_free_bytes: int | None
    threads: int
    open_files: int | None


class Minute(_Data):
    """The steps of about a minute, in milliseconds of the call; a percentile is null where there are too few (as in a bench record).

    Attributes:
        begin_s: since the soak began. steps: how many.
        age_max_ms: from an input's arrival to its result, the longest; null in a closed loop.
        dropped, missed: inputs that a newer one replaced, and results after their deadline.
    """

    begin_s: Positive
    steps: int = Field(ge=1)
    p50_ms: Positive
    p90_ms: Positive | None
    p99_ms: Positive | None
    max_ms: Positive
    age_max_ms: Positive | None
    dropped: int = Field(ge=0)
    missed: int = Field(ge=0)


class Output(_Data):
    """The output for the unchanged input, one step in each slot at each look; the steps in between are of other inputs as well.

    Attributes:
        digests: SHA-256 of each result of the first step of all.
        compared: steps that were compared with it. unequal: those that differed.
        first_unequal: when the first one was, and what differed, in words.
    """

    digests: dict[str, str]
    compared: int = Field(ge=0)
    unequal: int = Field(ge=0)
    first_unequal: str = ""


class Finding(_Data):
    """One limit: ``held`` is null where it cannot be told, and ``said`` says why."""

    name: str
    held: bool | None
    said: str


class SoakRecord(_Data):
    """A soak, as far as it came.

    Attributes:
        state: "running" in a record that was written on the way: if nothing runs any more, it was cut off there.
        problem: what ended it, of a failed one.
        held: no limit was exceeded; null before it is done.
        seconds: how long it has run.
        paused: inputs of the rate that came while it was looking, which nobody was there to take.
        counters: `videoscene_rt.counters.Counters` of the pipeline, looks included.
        captured: whether a step is one graph launch.
        scenes: what the steps go through in turn, at the preset's size; the first is the unchanged input. Records from before
            23 November 2026 do not say, and their steps resized the images.
        statistics: of the steps after the warm-up, milliseconds: "step" (the call), "step NAME" (those of one scene), at a rate "age"
            (arrival to result).
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["soak"] = "soak"
    created: datetime = Field(default_factory=lambda: datetime.now(timezone.utc).replace(microsecond=0))
    state: State
    problem: str = ""
    held: bool | None
    findings: tuple[Finding, ...]
    limits: Limits
    settings: SoakSettings
    seconds: Positive
    steps: int = Field(ge=0)
    identity: Identity
    inputs: Inputs
    scenes: tuple[str, ...] = ()
    captured: bool
    load_s: Positive
    output: Output
    statistics: dict[str, Statistics]
    rate: RateFacts | None
    paused: int = Field(ge=0)
    counters: dict[str, int | str | dict[str, float] | None]
    minutes: tuple[Minute, ...]
    looks: tuple[Look, ...]
    host: Host
    gpu: GpuFacts | None
    beside: Beside | None = None
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
