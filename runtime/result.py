"""What a step gives back: views of the chain's own memory, valid until the next step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy.typing as npt

from videoscene_rt.engines.errors import InputError

Status = Literal["ok", "degraded", "late", "invalid"]
"""What `Result.frames` are. "ok": refined with the pipeline's own decoder, in time. "degraded": what a lower rung of the ladder gives,
which was chosen before the launch. "late": the coarse frames, since the refined ones were not there at the deadline. "invalid": the
coarse frames, since what was computed is not finite."""

UNKNOWN_TIMESTEP = -1


@dataclass(frozen=True)
class Step:
    """Figures of one step.

    Attributes:
        number: counts the pipeline's steps, from 0.
        status: see `Status`. Without a deadline a step is "ok" or "invalid".
        timestep: the timestep t in 0…999 that the policy chose; −1 where the step was not refined, or not in time.
        seed: of the noise that was used.
        num_points: points rendered; None where only the device knows.
        scene_timestamp_ns: the scene's own timestamp, if it has one.
        started_ns, finished_ns: on the host's monotonic clock (time.monotonic_ns): the call, and when its result was had.
        timings_ms: milliseconds: of each stage by the host's clock on the CPU; of the whole chain ("chain") by the device's on a GPU.
        rung: what the frames are of: the decoder "full" or "tiny", or "coarse"; see `videoscene_rt.ladder.RUNGS`.
        reason: why the status is not "ok", in words; else "".
        reloads: how many bundles had been swapped in before: every number of this step is of the same one.
        first_frames_ms: of a streamed step, from the call until its first frames were ready (on a GPU: were seen to be); else None.
    """

    number: int
    status: Status
    timestep: int
    seed: int
    num_points: int | None
    scene_timestamp_ns: int | None
    started_ns: int
    finished_ns: int
    timings_ms: dict[str, float] = field(default_factory=dict)
    rung: str = "full"
    reason: str = ""
    reloads: int = 0
    first_frames_ms: float | None = None

    @property
    def timestamp_ns(self) -> int:
        """The input's timestamp: the scene's own, on its clock; where it has none, when the call came (time.monotonic_ns)."""
        return self.started_ns if self.scene_timestamp_ns is None else self.scene_timestamp_ns

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

    On the CPU the arrays are NumPy's; on a GPU they are `videoscene_rt.engines.cuda.array.DeviceArray`, which others take through
    DLPack or ``__cuda_array_interface__``. They are valid until the pipeline's next step (a submitted step's: until its handle is
    released); asking for one after that is refused. `host` brings them to the host, `copy` gives a result that stays.

    Args:
        step: the figures.
        arrays: frames and coarse, uint8[F,H,W,3]; depth, float32[F,H,W]; hole_mask, uint8[F,H,W].
        stale: says why the arrays are no longer to be had; "" while they are.
        to_host: brings them to the host; None where they lie there.
        read_by: told a stream that reads them; None where nothing is to be ordered.
    """

    def __init__(
        self,
        step: Step,
        arrays: Mapping[str, Any],
        stale: Callable[[], str] | None = None,
        to_host: Callable[[], Mapping[str, npt.NDArray[Any]]] | None = None,
        read_by: Callable[[Any], None] | None = None,
    ) -> None:
        self.step = step
        self._arrays = dict(arrays)
        self._stale = stale
        self._to_host = to_host
        self._read_by = read_by

    @property
    def frames(self) -> Any:
        """The refined video, uint8[F,H,W,3] RGB; the coarse one where `Step.rung` is "coarse"."""
        return self._get("frames")

    @property
    def coarse(self) -> Any:
        """The rendered point cloud, uint8[F,H,W,3] RGB; the background colour in the holes."""
        return self._get("coarse")

    @property
    def depth(self) -> Any:
        """Depth along the camera's axis, float32[F,H,W] in metres; 0 in the holes."""
        return self._get("depth")

    @property
    def hole_mask(self) -> Any:
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

    @property
    def timestamp_ns(self) -> int:
        """See `Step`."""
        return self.step.timestamp_ns

    @property
    def age_ms(self) -> float:
        """See `Step`."""
        return self.step.age_ms

    def host(self) -> Result:
        """The same result with NumPy arrays: on the CPU itself; from a GPU copied into page-locked memory, valid as long as this result is.

        Raises:
            InputError: the result is no longer valid.
        """
        self._check()
        if self._to_host is None:
            return self
        found = self._to_host()
        self._check()  # another thread's step may have begun meanwhile
        return Result(self.step, found, self._stale)

    def copy(self) -> Result:
        """The same result with NumPy arrays of its own.

        Raises:
            InputError: the result is no longer valid, or was not to the end: nothing of another thread's step is ever in a copy.
        """
        host = self.host()
        found = {name: array.copy() for name, array in host._arrays.items()}
        self._check()
        return Result(self.step, found)

    def read_by(self, stream: Any) -> None:
        """Let the next step in this one's place wait for what a stream of yours has been given until this call: call it when what reads
        the arrays was put onto the stream. It may be destroyed afterwards. See docs/embedding.md for which streams need it.

        Args:
            stream: see `Handle.wait_on`.

        Raises:
            InputError: the result is no longer valid.
        """
        self._check()
        if self._read_by is not None:
            self._read_by(stream)

    def _check(self) -> None:
        reason = "" if self._stale is None else self._stale()
        if reason:
            raise InputError(reason, "take what you need before that, or keep result.copy()")

    def _get(self, name: str) -> Any:
        self._check()
        return self._arrays[name]
