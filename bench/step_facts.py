"""What the record of `vsrt bench` says beside its latencies: load, stages, costs, start. Schema 2."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from videoscene_rt.bench.overlap import StageSpan

Verdict = Literal["met", "missed at times", "not met"]
_HOPELESS = 0.5


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RateFacts(_Data):
    """A run at a fixed rate; its latencies are the series "rate.age", "rate.step", "rate.wait" and "rate.oldest".

    Attributes:
        rate_hz, deadline_ms: the arrivals, and how long after one its result is wanted.
        arrivals, done, dropped: inputs that came, results, and inputs that a newer one replaced.
        missed: results that came after their deadline.
        overhead_us: what the loop takes for one arrival.
        statuses: with a ladder, how many results had which status; empty without one.
    """

    rate_hz: float = Field(gt=0)
    deadline_ms: float = Field(gt=0)
    arrivals: int = Field(ge=1)
    done: int = Field(ge=1)
    dropped: int = Field(ge=0)
    missed: int = Field(ge=0)
    overhead_us: float = Field(ge=0)
    statuses: dict[str, int] = Field(default_factory=dict)

    @property
    def unserved(self) -> float:
        """The share of the arrivals that were dropped, or answered too late."""
        return (self.dropped + self.missed) / self.arrivals

    @property
    def verdict(self) -> Verdict:
        """Every arrival in time; most of them; or so few that nobody can call it this rate (more than half dropped or late)."""
        return "met" if self.unserved == 0 else "not met" if self.unserved > _HOPELESS else "missed at times"


class StreamFacts(_Data):
    """Frames as they came; series: "stream.first-frame", "stream.last-frame", "stream.spacing"; the last is between groups of frames.

    Attributes:
        group: frames that become readable at once, at most.
        together: steps in flight.
        frames_per_second: in a long run.
        how: what the pipeline does, in words.
    """

    group: int = Field(ge=1)
    together: int = Field(ge=1)
    frames_per_second: float | None = Field(ge=0)
    how: str


class StageFacts(_Data):
    """The stages run one by one on one stream, not captured, each between two events of the device's clock (of the host's on the CPU).

    In records from before 23 November 2026 some of a GPU's ran beside each other, on the streams of the step.

    Attributes:
        uncaptured: when each ran, medians.
        sum_ms: all of them together.
        whole_ms: the whole step as it is launched, the median of "device" (of "host" on the CPU); captured where it can be.
        captured: whether ``whole_ms`` is of one graph.
    """

    uncaptured: tuple[StageSpan, ...]
    sum_ms: float = Field(ge=0)
    whole_ms: float = Field(gt=0)
    captured: bool

    @property
    def whole_over_sum(self) -> float | None:
        """Under 1, stages run beside each other; None where the stages took no time at all."""
        return self.whole_ms / self.sum_ms if self.sum_ms > 0 else None


class CostFacts(_Data):
    """What a step takes of the host beside its time; all of it after the steps before have warmed everything up.

    Attributes:
        process_peak_bytes: the most memory that the process has had (its resident set).
        device_peak_bytes: the most device memory in use while the pipeline was there, over what was in use before it was loaded, CUDA's
            own included; None where nobody says. (Records from before 2026-11-23: by everybody.)
        python_transient_bytes: the most that one step took of Python's allocator at once and gave back.
        python_blocks: objects that one step left behind.
        bytecodes: Python instructions of one step, by the way its inputs are given; they depend on Python's version, not on the machine.
        step_over_chain: `Pipeline.step` over the chain alone, pairs of steps one after the other: the median, and its quartiles.
    """

    process_peak_bytes: int | None = Field(default=None, ge=0)
    device_peak_bytes: int | None = Field(default=None, ge=0)
    python_transient_bytes: int | None = Field(default=None, ge=0)
    python_blocks: int | None = None
    bytecodes: dict[str, int] = Field(default_factory=dict)
    step_over_chain: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = None


class StartFacts(_Data):
    """How long until the first result.

    Attributes:
        load_s: the bundle verified, everything loaded, allocated and captured, in this process.
        first_step_s: the first step after that.
        warm_s: a new process each, files in the operating system's cache, until every engine is bound; from the process's start.
        parts_ms: of that, verifying and loading each graph, medians.
    """

    load_s: float = Field(ge=0)
    first_step_s: float = Field(ge=0)
    warm_s: tuple[float, ...] = ()
    parts_ms: dict[str, float] = Field(default_factory=dict)


class FramesFacts(_Data):
    """The picture beside the record: its file's name and digest."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
