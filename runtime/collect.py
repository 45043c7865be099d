"""What a step that has ended gives, or one whose deadline is over: its outcome, and arrays of what may be looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from videoscene_rt.asked import Begun
from videoscene_rt.chain.chain import Chain
from videoscene_rt.deadline import Deadlines, Outcome, nonfinite_words
from videoscene_rt.frame_stream import StreamSource
from videoscene_rt.handle import Handle, Lifetime, stream_handle
from videoscene_rt.ladder import COARSE
from videoscene_rt.launching import AnyRun
from videoscene_rt.result import UNKNOWN_TIMESTEP, Result, Status, Step
from videoscene_rt.split_run import DeviceSplitRun, HostSplitRun
from videoscene_rt.stream_runs import DeviceStreamRun, HostStreamRun

RESULTS = ("frames", "coarse", "depth", "hole_mask")


class Collector:
    """The results of one chain's steps.

    Args:
        chain: whose.
        deadlines: of steps that have one.

    Attributes:
        closed: no result is to be had any more.
    """

    def __init__(self, chain: Chain, deadlines: Deadlines | None) -> None:
        self.closed = False
        self._chain = chain
        self._deadlines = deadlines

    def collect(self, begun: Begun, run: AnyRun, handle: Handle) -> Result:
        """The result of a step that has ended, or whose deadline is over; it is counted, and what the step was given is let go.

        Args:
            begun, run: the step.
            handle: as long as it is not released, the result may be looked at.
        """
        begun.inputs.clear()  # device arrays were kept until here
        outcome, timestep = self._outcome(run, begun.slot, begun.way)
        if begun.watched is not None and run.done:
            begun.watched.end()
        begun.tally.count(outcome.status)
        first = run.first_frames_ns if isinstance(run, (DeviceStreamRun, HostStreamRun)) else None
        step = Step(
            number=begun.number,
            status=outcome.status,
            timestep=timestep,
            seed=begun.seed,
            num_points=begun.num_points,
            scene_timestamp_ns=begun.scene_timestamp_ns,
            started_ns=begun.started_ns,
            finished_ns=time.monotonic_ns(),
            timings_ms=run.times,
            rung=outcome.rung,
            reason=outcome.reason,
            reloads=begun.reloads,
            first_frames_ms=None if first is None else (first - begun.started_ns) / 1e6,
        )
        return self._result(step, begun.slot, handle.lifetime, timestep != UNKNOWN_TIMESTEP)

    def source(self, handle: Handle, started_ns: int) -> StreamSource:
        """What a streamed step gives, as long as its handle is not released.

        Args:
            handle: of a step whose way is a stream's.
            started_ns: the call, on the host's monotonic clock.
        """
        run: Any = handle.run

        def status() -> Status:
            return self._outcome(run, run.slot, run.way)[0].status

        def stale() -> str:
            if self.closed:
                return "the stream went with its pipeline, which is closed"
            return "the stream is closed, or was given back for a later step" if handle.released else ""

        return StreamSource(run, handle, started_ns, status, stale)

    def _outcome(self, run: AnyRun, slot: int, way: str | None) -> tuple[Outcome, int]:
        """What became of a step, and the timestep, if it was refined in time."""
        split = run if isinstance(run, (DeviceSplitRun, HostSplitRun)) else None
        refined = split is None or not (split.late or split.rung == COARSE)
        place = self._chain.slots[slot]
        count, timestep = (int(value) for value in place.status) if refined else (0, UNKNOWN_TIMESTEP)
        wrong = {**self._chain.uploads.nonfinite(place), **({"z_0": count} if count else {})}
        if split is not None and self._deadlines is not None:
            return self._deadlines.outcome(split, wrong), timestep
        if wrong:
            return Outcome("invalid", COARSE, nonfinite_words(wrong)), timestep
        return Outcome("ok", self._chain.plan.decoder_of(way)), timestep

    def _result(self, step: Step, slot: int, lifetime: Lifetime, ended: bool) -> Result:
        """The arrays of a step; the coarse frames in place of the refined ones where those are not to be had.

        Args:
            step: its figures. slot: where it lies. lifetime: of its handle.
            ended: everything of the step has been computed; else nothing but the rendering is looked at.
        """
        chain, place = self._chain, self._chain.slots[slot]
        split = None if ended or self._deadlines is None else self._deadlines.split

        def stale() -> str:
            return self._stale(step.number, lifetime)

        def shown(found: Mapping[str, Any]) -> dict[str, Any]:
            frames = "coarse" if step.rung == COARSE else "frames"
            return {name: found[frames if name == "frames" else name] for name in RESULTS}

        def download() -> dict[str, Any]:
            return shown(chain.downloads.download(place, place.done) if split is None else split.download(slot))

        def read_by(stream: Any) -> None:
            place.readers.mark(stream_handle(stream))

        if chain.device.kind == "cpu":
            return Result(step, download(), stale, read_by=read_by)
        from videoscene_rt.engines.cuda.array import DeviceArray

        made, stream = (place.done, chain.lanes[0]) if split is None else (split.rendered[slot], split.stream)
        names = [name for name in RESULTS if split is None or name != "frames"]
        arrays = {
            name: DeviceArray(chain.device, chain.view(name, slot), made, stream, place.readers.take)  # type: ignore[arg-type]
            for name in names
        }
        return Result(step, shown(arrays), stale, download, read_by)

    def _stale(self, number: int, lifetime: Lifetime) -> str:
        """Why a step's arrays are no longer to be had; "" while they are."""
        if self.closed:
            return f"the result of step {number} went with its pipeline, which is closed"
        return f"the result of step {number} was given back for a later step" if lifetime.released else ""
