"""What a step gives back: views of the chain's own memory, valid until the next step."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.errors import InputError

Status = Literal["ok", "invalid"]
Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Step:
    """Figures of one step.

    Attributes:
        number: counts the pipeline's steps, from 0.
        status: "ok"; "invalid" if the student's result was not finite, and then the frames mean nothing.
        timestep: the timestep t in 0…999 that the policy chose.
        seed: of the noise that was used.
        num_points: points rendered.
        scene_timestamp_ns: the scene's own timestamp, if it has one.
        started_ns, finished_ns: on the host's monotonic clock (time.monotonic_ns).
        timings_ms: milliseconds of each stage on the host's clock.
    """

    number: int
    status: Status
    timestep: int
    seed: int
    num_points: int
    scene_timestamp_ns: int | None
    started_ns: int
    finished_ns: int
    timings_ms: dict[str, float] = field(default_factory=dict)

    @property
    def duration_ms(self) -> float:
        """From the call to the result."""
        return (self.finished_ns - self.started_ns) / 1e6

    @property
    def age_ms(self) -> float:
        """From the call until now."""
        return (time.monotonic_ns() - self.started_ns) / 1e6


class Result:
    """Frames of one step, without a copy: each array is a view of the chain's buffer and speaks DLPack.

    They are valid until the pipeline's next step; asking for one after that is refused. `copy` gives a result that stays.

    Args:
        step: the figures.
        arrays: frames and coarse, uint8[F,H,W,3]; depth, float32[F,H,W]; hole_mask, uint8[F,H,W].
        current: tells the number of the step whose frames the memory holds; None for a copy.
    """

    def __init__(self, step: Step, arrays: dict[str, npt.NDArray[Any]], current: Any = None) -> None:
        self.step = step
        self._arrays = arrays
        self._current = current

    @property
    def frames(self) -> Frames:
        """The refined video, uint8[F,H,W,3] RGB."""
        return self._get("frames")

    @property
    def coarse(self) -> Frames:
        """The rendered point cloud, uint8[F,H,W,3] RGB; the background colour in the holes."""
        return self._get("coarse")

    @property
    def depth(self) -> npt.NDArray[np.float32]:
        """Depth along the camera's axis, float32[F,H,W] in metres; 0 in the holes."""
        return self._get("depth")

    @property
    def hole_mask(self) -> Frames:
        """Where no point fell, uint8[F,H,W]: 1 = hole."""
        return self._get("hole_mask")

    @property
    def status(self) -> Status:
        """See `Step`."""
        return self.step.status

    @property
    def timestep(self) -> int:
        """See `Step`."""
        return self.step.timestep

    def copy(self) -> Result:
        """The same result in memory of its own."""
        return Result(self.step, {name: self._get(name).copy() for name in self._arrays})

    def _get(self, name: str) -> npt.NDArray[Any]:
        if self._current is not None and self._current() != self.step.number:
            raise InputError(
                f"the result of step {self.step.number} was overwritten by a later step",
                "take what you need before the next step, or keep result.copy()",
            )
        return self._arrays[name]
