"""What came out of one cell, as the summary has it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from videoscene_rt.bench.published.request import AnyMode, Dtype, Stage


class Finding(BaseModel):
    """One line of the summary.

    Attributes:
        blocks: the student's.
        ms: the median on the device's clock (on the host's without one); None where it was not measured.
        spread_ms: least and most. samples: how many.
        first_ms: until the first frames are there, where that is earlier.
        setup_s: building, compiling and the first run.
        peak_bytes: the most device memory that torch's allocator held in use, weights included; of engines, what the device had less than
            before.
        floor_ms, bound: the roofline, and what it is of.
        relative_l2: by output, against the published path on the same weights in the same dtype.
        turns_ms: medians of ways that were timed in turns.
        extrapolated: computed from other numbers of blocks, in words.
        problem: why there is no time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    mode: AnyMode
    dtype: Dtype
    blocks: int | None = None
    ms: float | None = None
    spread_ms: tuple[float, float] | None = None
    samples: int = 0
    first_ms: float | None = None
    setup_s: float | None = None
    peak_bytes: int | None = None
    floor_ms: float | None = None
    bound: str | None = None
    relative_l2: dict[str, float] = {}
    turns_ms: dict[str, float] = {}
    notes: tuple[str, ...] = ()
    extrapolated: str | None = None
    problem: str | None = None
    record: str | None = None

    @property
    def over_floor(self) -> float | None:
        """The time over the roofline."""
        return self.ms / self.floor_ms if self.ms is not None and self.floor_ms else None
