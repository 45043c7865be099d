"""What the record of a whole step says beside its times: how it ran, what it moved, what it kept, and what it allocated."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.bench.overlap import Overlap, StageSpan


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemoryRow(_Data):
    """One region of the chain's memory; ``slot`` is None for what the slots share, ``place`` is "device" or "mapped"."""

    name: str
    role: str
    slot: int | None
    place: str
    offset: int = Field(ge=0)
    nbytes: int = Field(ge=0)


class Growth(_Data):
    """Memory before and after a number of steps, garbage collected both times.

    Attributes:
        steps: how many ran between.
        device_free_before, device_free_after: bytes nobody has on the device; None where that is not known.
        python_bytes: how much more Python's allocator holds; negative is less.
    """

    steps: int = Field(ge=1)
    device_free_before: int | None
    device_free_after: int | None
    python_bytes: int

    @property
    def device_bytes(self) -> int | None:
        """Device memory that the steps took and kept."""
        if self.device_free_before is None or self.device_free_after is None:
            return None
        return self.device_free_before - self.device_free_after


class Throughput(_Data):
    """Steps submitted one behind the other, ``in_flight`` at a time, until the last one's result was there."""

    steps: int = Field(ge=1)
    in_flight: int = Field(ge=1)
    seconds: float = Field(gt=0)

    @property
    def ms_per_step(self) -> float:
        """Milliseconds from one result to the next, on average."""
        return self.seconds / self.steps * 1e3


class ChainFacts(_Data):
    """The whole step on a device.

    Attributes:
        captured: each slot is one CUDA graph, and a step one launch.
        slots, memory, num_points, timestep: how it was loaded and what it was given and chose.
        arena_bytes, mapped_bytes: the chain's one allocation on the device, and the one in host memory that the device addresses.
        arena: what lies where in both.
        device_bytes: device memory that loading took in all, engines' weights and CUDA's own included; None where that is not known.
        stages: each on the device's clock, the median of ``timeline_repeats`` runs that are timed stage by stage; empty without a GPU.
        uploaded_bytes: bytes copied to the device for one step, by the way its inputs are given.
        downloaded_bytes: bytes of `Result.host`, copied only when it is asked for.
        throughput: by the way the inputs are given.
        p99_over_p50: by series, where there are samples enough for a p99.
        digests: SHA-256 of each result of the measured scene.
    """

    captured: bool
    slots: int
    memory: str
    num_points: int
    timestep: int
    arena_bytes: int
    mapped_bytes: int
    arena: tuple[MemoryRow, ...] = ()
    device_bytes: int | None = None
    stages: tuple[StageSpan, ...] = ()
    timeline_repeats: int = 0
    overlap: Overlap | None = None
    uploaded_bytes: dict[str, int] = Field(default_factory=dict)
    downloaded_bytes: int | None = None
    growth: Growth | None = None
    throughput: dict[str, Throughput] = Field(default_factory=dict)
    p99_over_p50: dict[str, float] = Field(default_factory=dict)
    digests: dict[str, str] = Field(default_factory=dict)
