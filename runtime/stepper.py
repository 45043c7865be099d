"""Putting steps onto a chain: which slot, with what noise, and what becomes of the result."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np

from videoscene_rt.chain.arrays import taken
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.given import given_inputs
from videoscene_rt.chain.noise import NoiseMode, checked_seed, draw_noise
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.handle import Handle, stream_handle
from videoscene_rt.result import Result, Step
from videoscene_rt.runs import DeviceRun, HostRun
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.slot_pool import SlotPool

RESULTS = ("frames", "coarse", "depth", "hole_mask")


class Stepper:
    """The steps of one chain, in the order in which they are begun.

    Args:
        chain: what runs them.
        preset: whose sizes.
        noise, seed: see `videoscene_rt.chain.noise.draw_noise`.

    Attributes:
        lock: held while a step is put onto the chain; take it to use the chain yourself.
        newest: the slot of the step that was begun last.
    """

    def __init__(self, chain: Chain, preset: Preset, noise: NoiseMode, seed: int) -> None:
        self.lock = threading.RLock()
        self.newest = 0
        self._chain = chain
        self._preset = preset
        self._noise: NoiseMode = noise
        self._seed = seed
        self._number = -1
        self._points: int | None = None
        self._slots = SlotPool(len(chain.slots))
        self._under_way: list[Handle] = []
        self._worker: ThreadPoolExecutor | None = None
        self._closed = False
        self._draw(seed)

    def begin(
        self,
        given: Scene | Mapping[str, Any],
        seed: int | None,
        stream: Any,
        timeout: float | None,
        *,
        aside: bool,
    ) -> Handle:
        """Begin a step; see `Pipeline.step` and `Pipeline.submit`.

        Args:
            aside: where the host is the device: on a thread, instead of here and now.
        """
        started = time.monotonic_ns()
        seed = None if seed is None else checked_seed(seed)
        after = None if stream is None else stream_handle(stream)
        chain = self._chain
        inputs = given_inputs(given, self._preset, chain.plan, chain.bound)
        slot = self._slots.take(timeout)
        try:
            with self.lock:
                self._check_open()
                chain.device.use()
                arrays = {
                    name: taken(chain.device, chain.plan.buffer(name), array, chain.upload_stream)
                    for name, array in inputs.items()
                }
                if seed is not None:
                    self._draw(seed)  # after everything was checked: a refused step leaves the noise as it was
                chain.upload(arrays, slot, after)
                run = self._run(slot, aside)
                handle = self._handle(run, slot, inputs, started, given)
                self._under_way = [*(other for other in self._under_way if not other.done), handle]
                return handle
        except BaseException:
            self._slots.give(slot)
            raise

    def settle(self) -> None:
        """Wait for every step under way; what goes wrong in one is its handle's to say."""
        with self.lock:
            for handle in self._under_way:
                handle.settle()
            self._under_way = []

    def close(self) -> None:
        """Wait for the steps under way and begin no more."""
        with self.lock:
            self.settle()
            self._closed = True
            if self._worker is not None:
                self._worker.shutdown()

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("the pipeline is closed", "load it again: Pipeline.load(bundle)")

    def _run(self, slot: int, aside: bool) -> DeviceRun | HostRun:
        if self._chain.device.captures:
            self._chain.launch(slot)
            return DeviceRun(self._chain, slot)
        if not aside:
            self.settle()
            return HostRun.ended(self._chain.launch(slot))
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, "videoscene_rt")
        return HostRun(self._worker.submit(self._chain.launch, slot))

    def _handle(self, run: DeviceRun | HostRun, slot: int, inputs: dict[str, Any], started: int, given: Any) -> Handle:
        self._number += 1
        self.newest = slot
        if "num_points" in inputs:
            count = inputs["num_points"]
            self._points = int(count[0]) if isinstance(count, np.ndarray) else None
        number, seed, points = self._number, self._seed, self._points
        stamp = given.timestamp_ns if isinstance(given, Scene) else None

        def collect(handle: Handle) -> Result:
            inputs.clear()  # device arrays were kept until here
            invalid, timestep = (int(value) for value in self._chain.slots[slot].status)
            step = Step(
                number=number,
                status="invalid" if invalid else "ok",
                timestep=timestep,
                seed=seed,
                num_points=points,
                scene_timestamp_ns=stamp,
                started_ns=started,
                finished_ns=time.monotonic_ns(),
                timings_ms=run.times,
            )
            return self._result(step, slot, handle)

        return Handle(run, collect, lambda reader: self._release(run, slot, reader))

    def _result(self, step: Step, slot: int, handle: Handle) -> Result:
        chain = self._chain

        def stale() -> str:
            if self._closed:
                return f"the result of step {step.number} went with its pipeline, which is closed"
            return f"the result of step {step.number} was given back for a later step" if handle.released else ""

        if chain.device.kind == "cpu":
            return Result(step, {name: chain.download(slot)[name] for name in RESULTS}, stale)
        from videoscene_rt.engines.cuda.array import DeviceArray

        place = chain.slots[slot]
        arrays = {
            name: DeviceArray(chain.device, chain.view(name, slot), place.done, chain.lanes[0], place.readers.add)  # type: ignore[arg-type]
            for name in RESULTS
        }
        return Result(step, arrays, stale, lambda: chain.download(slot))

    def _release(self, run: DeviceRun | HostRun, slot: int, reader: int | None) -> None:
        if isinstance(run, HostRun):
            with suppress(Exception):  # what went wrong in it was its handle's to say
                run.wait(None)
        if reader is not None:
            self._chain.slots[slot].readers.add(reader)
        self._slots.give(slot)

    def _draw(self, seed: int) -> None:
        self.settle()
        for name, array in draw_noise(self._preset, seed, self._noise).items():
            self._chain.write(name, array)
        self._seed = seed
