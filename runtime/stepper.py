"""Putting steps onto a chain: which slot, with what noise, and what becomes of the result."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from videoscene_rt.chain.arrays import taken
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.finite import check_finite
from videoscene_rt.chain.given import given_inputs
from videoscene_rt.chain.noise import NoiseMode, checked_seed, draw_noise
from videoscene_rt.collect import RESULTS as RESULTS
from videoscene_rt.collect import Collector
from videoscene_rt.counters import Tally
from videoscene_rt.deadline import DeadlineHandle, Deadlines
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.frame_stream import StreamSource
from videoscene_rt.handle import Handle, stream_handle
from videoscene_rt.result import UNKNOWN_TIMESTEP, Result, Status, Step
from videoscene_rt.runs import DeviceRun, HostRun
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.slot_pool import SlotPool
from videoscene_rt.split_run import Deadline, DeviceSplitRun, HostSplitRun, SplitRun
from videoscene_rt.stream_runs import DeviceStreamRun, HostStreamRun
from videoscene_rt.watchdog import Watchdog, Watched
from videoscene_rt.worker import Worker

_LOOK_S = 1e-3

AnyRun = DeviceRun | HostRun | SplitRun


class SupersededError(Exception):
    """Another bundle's stepper has taken this one's place: begin the step there."""


class Stepper:
    """The steps of one chain, in the order in which they are begun.

    Args:
        chain: what runs them.
        preset: whose sizes.
        noise, seed: see `videoscene_rt.chain.noise.draw_noise`.
        tally: counts what becomes of the steps.
        watchdog: is told of every step.
        deadlines: for steps that have one.
        number: of the first step. reloads: for `Step`.

    Attributes:
        lock: held while a step is put onto the chain; take it to use the chain yourself.
        newest: the slot of the step that was begun last.
        number: of that step.
    """

    def __init__(
        self,
        chain: Chain,
        preset: Preset,
        noise: NoiseMode,
        seed: int,
        *,
        tally: Tally | None = None,
        watchdog: Watchdog | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.newest = 0
        self.number = -1
        self.reloads = 0
        self.deadlines = deadlines
        self._chain = chain
        self._preset = preset
        self._noise: NoiseMode = noise
        self.seed = seed
        self._tally = tally or Tally()
        self._watchdog = watchdog
        self._points: int | None = None
        self._slots = SlotPool(len(chain.slots))
        self._under_way: list[Handle] = []
        self._worker = Worker("videoscene_rt") if deadlines is None else deadlines.worker
        self._superseded = False
        self._collector = Collector(chain, deadlines, self.lock)
        self._draw(seed)

    def begin(
        self,
        given: Scene | Mapping[str, Any],
        seed: int | None,
        stream: Any,
        timeout: float | None,
        *,
        aside: bool,
        deadline: Deadline | None = None,
        way: str | None = None,
        called: int | None = None,
    ) -> Handle:
        """Begin a step; see `Pipeline.step` and `Pipeline.submit`.

        Args:
            way: another way of the chain's plan than the whole step; with chunks, the handle's run is a `StreamRun`.
            aside: where the host is the device: on a thread, instead of here and now.
            deadline: of its result.
            called: when the user's call came, on the host's monotonic clock; now, if not given.

        Raises:
            SupersededError: begin it with the stepper that is in use now.
        """
        started = time.monotonic_ns() if called is None else called
        seed = None if seed is None else checked_seed(seed)
        after = None if stream is None else stream_handle(stream)
        chain = self._chain
        inputs = given_inputs(given, self._preset, chain.plan, chain.bound)
        slot = self._take(timeout)
        watched: Watched | None = None
        try:
            with self.lock:
                self._check_open()
                chain.device.use()
                if self._watchdog is not None:
                    watched = self._watchdog.watch((id(self), slot), self.number + 1, chain.device)
                arrays = {
                    name: taken(chain.device, chain.plan.buffer(name), array, chain.upload_stream)
                    for name, array in inputs.items()
                }
                check_finite(arrays)
                if seed is not None:
                    self._draw(seed)  # after everything was checked: a refused step leaves the noise as it was
                chain.upload(arrays, slot, after)
                run = self._run(slot, aside, way) if deadline is None else self._split_run(slot, deadline)
                handle = self._handle(run, slot, inputs, started, given, deadline, watched, way)
                self._under_way = [*(other for other in self._under_way if not other.done), handle]
                if watched is not None:
                    watched.run = run
                return handle
        except BaseException:
            if watched is not None:
                watched.end()
            self._slots.give(slot)
            raise

    def settle(self) -> None:
        """Wait for every step under way; what goes wrong in one is its handle's to say."""
        with self.lock:
            for handle in self._under_way:
                handle.settle()
            self._under_way = []
            if self.deadlines is not None:
                self.deadlines.settle()

    def bound_anew(self) -> None:
        """The chain's buffers have been bound to other memory; nothing is under way."""
        if self.deadlines is not None:
            self.deadlines.bind_again()

    def close(self) -> None:
        """Wait for the steps under way and begin no more."""
        with self.lock:
            self.settle()
            self._collector.closed = True
            self.retire()

    def succeed(self, old: Stepper, tally: Tally, watchdog: Watchdog | None) -> None:
        """Take the place of another stepper, whose lock is held: go on from its inputs, seed and numbers."""
        with self.lock:
            if old.seed != self.seed:
                self._draw(old.seed)
            self._chain.adopt_inputs(old._chain)
            self.number, self.reloads, self._points = old.number, old.reloads + 1, old._points
            self._tally, self._watchdog = tally, watchdog
            if self.deadlines is not None:
                self.deadlines.tally = tally
        old.retire()

    def retire(self) -> None:
        """Begin no more: another stepper has taken this one's place. What is under way goes on, and its results stay."""
        with self.lock:
            self._superseded = True
            self._under_way = []
            self._worker.shutdown()
            if self.deadlines is not None:
                self.deadlines.close()

    def _check_open(self) -> None:
        if self._collector.closed:
            raise InputError("the pipeline is closed", "load it again: Pipeline.load(bundle)")
        if self._superseded:
            raise SupersededError

    def _take(self, timeout: float | None) -> int:
        """A free slot; those of late steps that have ended since are free again."""
        end = None if timeout is None else time.monotonic() + timeout
        while self._reap():
            left = _LOOK_S if end is None else min(_LOOK_S, end - time.monotonic())
            with suppress(BackendError):
                return self._slots.take(max(0.0, left))
            if left <= 0:
                raise BackendError(
                    f"every slot is held, some by steps that came too late and still run, and none was given back within {timeout:g} s",
                    "release handles when their results are read; if it happens again the device hangs",
                )
        return self._slots.take(timeout)

    def _reap(self) -> bool:
        """Give back the slots of late steps that have ended; whether there are others."""
        if self.deadlines is None:
            return False
        with self.lock:
            for slot in self.deadlines.reap():
                self._slots.give(slot)
            return self.deadlines.parked

    def _run(self, slot: int, aside: bool, way: str | None) -> DeviceRun | HostRun:
        chain = self._chain
        self._tally.count(f"rung {chain.plan.decoder_of(way)}")
        chunks = way is not None and len(chain.plan.way(way).parts) > 1
        if chain.device.captures:
            if way is not None and chunks:
                return DeviceStreamRun(self._worker, chain, slot, way)
            chain.launch(slot, way)
            return DeviceRun(chain, slot)
        if way is not None and chunks:
            return HostStreamRun(self._worker, chain, slot, way)
        if not aside:
            self.settle()
            return HostRun.ended(chain.launch(slot, way))
        return HostRun(self._worker.submit(chain.launch, slot, way))

    def _split_run(self, slot: int, deadline: Deadline) -> SplitRun:
        if self.deadlines is None:
            raise InputError("this pipeline has no ladder", "load it with one: Pipeline.load(bundle, ladder=Ladder())")
        busy = self.deadlines.parked or any(not other.done for other in self._under_way)
        return self.deadlines.launch(slot, deadline, busy)

    def _handle(
        self,
        run: AnyRun,
        slot: int,
        inputs: dict[str, Any],
        started: int,
        given: Any,
        deadline: Deadline | None,
        watched: Watched | None,
        way: str | None,
    ) -> Handle:
        self.number += 1
        self.newest = slot
        if "num_points" in inputs:
            count = inputs["num_points"]
            self._points = int(count[0]) if isinstance(count, np.ndarray) else None
        number, seed, points = self.number, self.seed, self._points
        stamp = given.timestamp_ns if isinstance(given, Scene) else None

        def meet() -> None:
            assert deadline is not None
            assert self.deadlines is not None
            self.deadlines.meet(run, deadline)  # type: ignore[arg-type]

        def collect(handle: Handle) -> Result:
            inputs.clear()  # device arrays were kept until here
            outcome, timestep = self._collector.outcome(run, slot, way)
            if watched is not None and run.done:
                watched.end()
            self._tally.count(outcome.status)
            first = run.first_frames_ns if isinstance(run, (DeviceStreamRun, HostStreamRun)) else None
            step = Step(
                number=number,
                status=outcome.status,
                timestep=timestep,
                seed=seed,
                num_points=points,
                scene_timestamp_ns=stamp,
                started_ns=started,
                finished_ns=time.monotonic_ns(),
                timings_ms=run.times,
                rung=outcome.rung,
                reason=outcome.reason,
                reloads=self.reloads,
                first_frames_ms=None if first is None else (first - started) / 1e6,
            )
            return self._collector.result(step, slot, handle.lifetime, timestep != UNKNOWN_TIMESTEP)

        def release(reader: int | None) -> None:
            self._release(run, slot, reader)

        return Handle(run, collect, release) if deadline is None else DeadlineHandle(run, meet, collect, release)  # type: ignore[arg-type]

    def stream(self, handle: Handle, begun: int) -> StreamSource:
        """What a streamed step gives, as long as its handle is not released.

        Args:
            handle: from `begin`, with the way of a stream.
            begun: the call, on the host's monotonic clock.
        """
        run: Any = handle.run

        def status() -> Status:
            return self._collector.outcome(run, run.slot, run.way)[0].status

        def stale() -> str:
            if self._collector.closed:
                return "the stream went with its pipeline, which is closed"
            return "the stream is closed, or was given back for a later step" if handle.released else ""

        return StreamSource(run, handle, begun, status, stale)

    def _release(self, run: AnyRun, slot: int, reader: int | None) -> None:
        try:
            if reader is not None:
                self._chain.slots[slot].readers.mark(
                    reader
                )  # now, since the stream may be gone when the slot's next step begins
        finally:
            self._give_back(run, slot)

    def _give_back(self, run: AnyRun, slot: int) -> None:
        if isinstance(run, (DeviceSplitRun, HostSplitRun)):
            with self.lock:
                if self.deadlines is not None:
                    self.deadlines.park(slot, run)
                    self._reap()
            return
        if isinstance(run, DeviceStreamRun):
            run.wait_launched()
        if isinstance(run, HostRun):
            with suppress(Exception):  # what went wrong in it was its handle's to say
                run.wait(None)
        self._slots.give(slot)

    def _draw(self, seed: int) -> None:
        self.settle()
        for name, array in draw_noise(self._preset, seed, self._noise).items():
            self._chain.write(name, array)
        self.seed = seed
