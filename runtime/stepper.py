"""Putting steps onto a chain, one after the other: with what inputs, with what noise, under what number."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from videoscene_rt.asked import Asked, Begun
from videoscene_rt.chain.arrays import Given, taken
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.finite import check_finite
from videoscene_rt.chain.given import check_count, given_inputs
from videoscene_rt.chain.noise import NoiseMode, checked_seed, draw_noise
from videoscene_rt.chosen_way import way_of
from videoscene_rt.collect import Collector
from videoscene_rt.counters import Tally
from videoscene_rt.deadline import DeadlineHandle, Deadlines
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.handle import Handle, Run, stream_handle
from videoscene_rt.launching import AnyRun, launch_step
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.slot_pool import SlotPool, StoppedError
from videoscene_rt.split_run import Deadline
from videoscene_rt.turns import in_turn
from videoscene_rt.watchdog import Watchdog, Watched
from videoscene_rt.worker import Worker


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

    Attributes:
        lock: held while a step is put onto the chain; take it to use the chain yourself.
        newest: the slot of the step that was begun last.
        number: of that step.
        seed: of the noise in use.
        reloads: bundles that were swapped in before this one.
        collector: makes what the steps give.
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
        self.seed = seed
        self.deadlines = deadlines
        self.collector = Collector(chain, deadlines)
        self._chain = chain
        self._preset = preset
        self._noise: NoiseMode = noise
        self._tally = tally or Tally()
        self._watchdog = watchdog
        self._points: int | None = None
        self._slots = SlotPool(chain, deadlines)
        self._under_way: list[Handle] = []
        self._worker = Worker("videoscene_rt") if deadlines is None else deadlines.worker
        self._ending: list[Run] = []
        self._superseded = False
        self._draw(seed)

    def begin(self, asked: Asked) -> Handle:
        """Begin a step.

        Raises:
            InputError, BackendError: see `Pipeline.step` and `Pipeline.submit`.
            SupersededError: begin it with the stepper that is in use now.
        """
        grace_s = 0.0 if asked.deadline is None else self.grace_s
        seed = None if asked.seed is None else checked_seed(asked.seed)
        after = None if asked.stream is None else stream_handle(asked.stream)
        chain = self._chain
        way = way_of(chain.plan, asked.decoder, asked.chunks)
        inputs = given_inputs(asked.given, self._preset, chain.plan, chain.bound)
        chain.device.use()
        arrays = {
            name: taken(chain.device, chain.plan.buffer(name), array, chain.uploads.stream.handle)
            for name, array in inputs.items()
        }
        self._check_count(arrays)
        check_finite(arrays)
        asked.free()  # after everything was checked: a refused step ends no result
        watched: Watched | None = None
        run: AnyRun | None = None
        launching = False

        def put() -> Handle:
            nonlocal watched, run, launching
            self._check_open()
            self._ending = _still_running(self._ending)
            if self._watchdog is not None:
                watched = self._watchdog.watch((id(chain), slot), self.number + 1, chain.device)
            if "xyz" not in arrays:
                self._check_count(arrays)  # the cloud that is there may be another one by now
            if seed is not None:
                self._draw(seed)
            chain.uploads.upload(chain.slots[slot], arrays, after)
            launching = True
            run = self._launch(asked, way, slot)
            handle = self._handle(self._begun(asked, way, slot, inputs, watched), run, asked.deadline)
            self._under_way = [*(other for other in self._under_way if not other.done), handle]
            if watched is not None:
                watched.run = run
            return handle

        slot = self._take(asked, grace_s)
        try:
            return in_turn(self.lock, asked.deadline, grace_s, put)
        except BaseException:
            if watched is not None:
                watched.end()
            if launching and not asked.aside:
                self._tally.count("failed")
            if run is None:
                self._slots.give(slot)
            else:
                self._slots.release(slot, run, None)
            raise

    @property
    def grace_s(self) -> float:
        """How long after its deadline a step's coarse frames are waited for.

        Raises:
            InputError: there is no ladder, and so no step with a deadline.
        """
        if self.deadlines is None:
            raise InputError("this pipeline has no ladder", "load it with one: Pipeline.load(bundle, ladder=Ladder())")
        return self.deadlines.grace_s

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
            for run in self._ending:
                with suppress(Exception):
                    run.wait(None)
            self.collector.closed = True
            self.retire()

    def succeed(self, old: Stepper, tally: Tally, watchdog: Watchdog | None) -> None:
        """Take the place of another stepper, whose lock is held: go on from its inputs, seed and numbers."""
        with self.lock:
            if old.seed != self.seed:
                self._draw(old.seed)
            self._chain.uploads.adopt(old._chain.uploads)
            self.number, self.reloads, self._points = old.number, old.reloads + 1, old._points
            self._tally, self._watchdog = tally, watchdog
            if self.deadlines is not None and old.deadlines is not None:
                self.deadlines.succeed(old.deadlines, tally)
            if any(self._chain.plan.buffer(name).role == "result" for name in self._chain.bound):
                self._slots.follow(old._slots)
            self._ending = _still_running([*old._ending, *(handle.run for handle in old._under_way)])
        old.retire()

    def retire(self) -> None:
        """Begin no more: another stepper has taken this one's place. What is under way goes on, and its results stay."""
        with self.lock:
            self._superseded = True
            self._under_way = []
            self._slots.stop()
            self._worker.shutdown()
            if self.deadlines is not None:
                self.deadlines.close()

    def _check_open(self) -> None:
        if self.collector.closed:
            raise InputError("the pipeline is closed", "load it again: Pipeline.load(bundle)")
        if self._superseded:
            raise SupersededError

    def _check_count(self, arrays: Mapping[str, Given]) -> None:
        check_count(arrays, self._preset.max_points if "xyz" in self._chain.bound else self._chain.uploads.rows("xyz"))

    def _take(self, asked: Asked, grace_s: float) -> int:
        try:
            return self._slots.take(asked.timeout if asked.deadline is None else asked.deadline.left_s)
        except StoppedError:
            in_turn(self.lock, asked.deadline, grace_s, self._check_open)  # raises
            raise

    def _launch(self, asked: Asked, way: str | None, slot: int) -> AnyRun:
        if asked.deadline is None or self.deadlines is None:
            self._tally.count(f"rung {self._chain.plan.decoder_of(way)}")
            return launch_step(self._chain, self._worker, slot, way, None if asked.aside else self.settle)
        busy = self.deadlines.parked or any(not other.done for other in self._under_way)
        return self.deadlines.launch(slot, asked.deadline, busy)

    def _begun(
        self, asked: Asked, way: str | None, slot: int, inputs: dict[str, Any], watched: Watched | None
    ) -> Begun:
        self.number += 1
        self.newest = slot
        if "num_points" in inputs:
            count = inputs["num_points"]
            self._points = int(count[0]) if isinstance(count, np.ndarray) else None
        elif "num_points" in self._chain.bound:
            self._points = None  # it stands where the caller writes it
        return Begun(
            number=self.number,
            seed=self.seed,
            num_points=self._points,
            scene_timestamp_ns=asked.given.timestamp_ns if isinstance(asked.given, Scene) else None,
            started_ns=asked.called,
            reloads=self.reloads,
            slot=slot,
            way=way,
            inputs=inputs,
            watched=watched,
            tally=self._tally,
        )

    def _handle(self, begun: Begun, run: AnyRun, deadline: Deadline | None) -> Handle:
        collect = partial(self.collector.collect, begun, run)
        release = partial(self._slots.release, begun.slot, run)
        if deadline is None or self.deadlines is None:
            return Handle(run, collect, release)
        return DeadlineHandle(run, partial(self.deadlines.meet, run, deadline), collect, release)  # type: ignore[arg-type]

    def _draw(self, seed: int) -> None:
        self.settle()
        for name, array in draw_noise(self._preset, seed, self._noise).items():
            self._chain.write(name, array)
        self.seed = seed


def _still_running(runs: Iterable[Run]) -> list[Run]:
    """Steps of a bundle that was swapped out: each holds its chain, whose memory a device may still write to, until it has ended."""
    found = []
    for run in runs:
        with suppress(Exception):  # a fault of the device: nothing runs there any more
            if not run.done:
                found.append(run)
    return found
