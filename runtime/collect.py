"""What a step that has ended gives, or one whose deadline is over: its outcome, and arrays of what may be looked at."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from videoscene_rt.chain.chain import Chain
from videoscene_rt.deadline import Deadlines, Outcome, nonfinite_words
from videoscene_rt.handle import Lifetime, stream_handle
from videoscene_rt.ladder import COARSE
from videoscene_rt.result import UNKNOWN_TIMESTEP, Result, Step
from videoscene_rt.split_run import DeviceSplitRun, HostSplitRun

RESULTS = ("frames", "coarse", "depth", "hole_mask")


class Collector:
    """The results of one chain's steps.

    Args:
        chain: whose.
        deadlines: of steps that have one.
        lock: under which ``deadlines`` are told.

    Attributes:
        closed: no result is to be had any more.
    """

    def __init__(self, chain: Chain, deadlines: Deadlines | None, lock: threading.RLock) -> None:
        self.closed = False
        self._chain = chain
        self._deadlines = deadlines
        self._lock = lock

    def outcome(self, run: Any, slot: int, way: str | None) -> tuple[Outcome, int]:
        """What became of a step, and the timestep, if it was refined in time."""
        split = run if isinstance(run, (DeviceSplitRun, HostSplitRun)) else None
        refined = split is None or not (split.late or split.rung == COARSE)
        status = self._chain.slots[slot].status
        count, timestep = (int(value) for value in status) if refined else (0, UNKNOWN_TIMESTEP)
        wrong = {**self._chain.nonfinite_inputs(slot), **({"z_0": count} if count else {})}
        if split is not None and self._deadlines is not None:
            with self._lock:
                return self._deadlines.outcome(split, wrong), timestep
        if wrong:
            return Outcome("invalid", COARSE, nonfinite_words(wrong)), timestep
        return Outcome("ok", self._chain.plan.decoder_of(way)), timestep

    def result(self, step: Step, slot: int, lifetime: Lifetime, ended: bool) -> Result:
        """The arrays of a step; the coarse frames in place of the refined ones where those are not to be had.

        Args:
            step: its figures. slot: where it lies. lifetime: of its handle.
            ended: everything of the step has been computed; else nothing but the rendering is looked at.
        """
        chain = self._chain
        split = None if ended or self._deadlines is None else self._deadlines.split

        def stale() -> str:
            return self._stale(step.number, lifetime)

        def shown(found: Mapping[str, Any]) -> dict[str, Any]:
            frames = "coarse" if step.rung == COARSE else "frames"
            return {name: found[frames if name == "frames" else name] for name in RESULTS}

        def download() -> dict[str, Any]:
            return shown(chain.download(slot) if split is None else split.download(slot))

        def read_by(stream: Any) -> None:
            chain.slots[slot].readers.mark(stream_handle(stream))

        if chain.device.kind == "cpu":
            return Result(step, download(), stale, read_by=read_by)
        from videoscene_rt.engines.cuda.array import DeviceArray

        place = chain.slots[slot]
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
