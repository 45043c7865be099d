"""`Pipeline`: a bundle loaded and bound, ready to turn scenes into frames."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.chain.arena import ArenaPlan
from videoscene_rt.chain.arrays import taken
from videoscene_rt.chain.chain import MEMORY_MODES, Chain, MemoryMode
from videoscene_rt.chain.given import given_inputs
from videoscene_rt.chain.noise import NoiseMode, checked_mode, checked_seed, draw_noise
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.chain.program import StageTime
from videoscene_rt.chain.schedule import Schedule
from videoscene_rt.engines.arguments import whole_number
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.bundle import Bundle, OnVerified
from videoscene_rt.engines.engine import Backend, TensorView
from videoscene_rt.engines.errors import InputError
from videoscene_rt.handle import Handle, stream_handle
from videoscene_rt.result import Result, Step
from videoscene_rt.runs import DeviceRun, HostRun
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.slot_pool import SlotPool

_RESULTS = ("frames", "coarse", "depth", "hole_mask")
_MAX_SLOTS = 2
_PATIENCE_S = 10.0


class Pipeline:
    """One loaded bundle. Its methods are safe to call from several threads; the steps run one after the other.

    Make one with `Pipeline.load`; close it, or use it in a ``with`` statement.

    Attributes:
        chain: what runs the steps; for measuring.
    """

    def __init__(
        self, bundle: Bundle, chain: Chain, backend: Backend, seed: int = 0, noise: NoiseMode = "mean"
    ) -> None:
        self.bundle = bundle
        self.preset = bundle.manifest.preset
        self.backend_name = backend.name
        self.device = backend.device
        self.versions = backend.versions
        self.notes = tuple(chain.notes)
        self._chain: Chain | None = chain
        self._noise: NoiseMode = noise
        self._seed = seed
        self._number = -1
        self._lock = threading.RLock()
        self._step_lock = threading.Lock()
        self._slots = SlotPool(len(chain.slots))
        self._newest = 0
        self._points: int | None = None
        self._last: Handle | None = None
        self._under_way: list[Handle] = []
        self._worker: ThreadPoolExecutor | None = None
        self._draw(seed)

    @classmethod
    def load(
        cls,
        bundle: str | os.PathLike[str],
        backend: str = "onnxruntime",
        precision: str = "fp32",
        *,
        seed: int = 0,
        noise: NoiseMode = "mean",
        timestep: int | None = None,
        threads: int | None = None,
        slots: int = 2,
        priority: int = 0,
        capture: bool = True,
        memory: MemoryMode = "auto",
        on_verified: OnVerified | None = None,
    ) -> Pipeline:
        """Verify a bundle, load its graphs, allocate and bind every buffer, and capture the step.

        Args:
            bundle: the bundle's folder.
            backend: one of `videoscene_rt.engines.backends.BACKENDS`.
            precision: a ceiling: "fp32", "fp16" or "int8", as `vsrt build` built it.
            seed: of the noise, see `videoscene_rt.chain.noise.draw_noise`.
            noise: "mean" (steady video) or "published" (all that the published code draws).
            timestep: t in 0…999 for every step; None lets the policy choose.
            threads: threads for one operator on the CPU, at most four times the cores; None takes every core.
            slots: sets of inputs and results, 1 or 2; two let a step be taken in and read while another runs.
            priority: of every stream on a GPU: CUDA's number, where the smaller goes first; 0 is the lowest.
            capture: replay a step as one CUDA graph; False runs it stage by stage.
            memory: "auto"; "mapped" (inputs and results in host memory that the GPU addresses); "copied". See docs/chain.md.
            on_verified: told of the progress of the verification, see `Bundle.open`.

        Raises:
            InputError: an argument is of the wrong type or out of range (said before the bundle is read), or the bundle is not whole.
            BackendError: the backend is missing or cannot run a graph, or there is not enough memory.
        """
        if not isinstance(bundle, (str, os.PathLike)):
            raise InputError(f"bundle must be the path of a folder, not {bundle!r}")
        seed, noise = checked_seed(seed), checked_mode(noise)
        timestep = None if timestep is None else whole_number("timestep", timestep, 0, 999)
        slots = whole_number("slots", slots, 1, _MAX_SLOTS)
        if memory not in MEMORY_MODES:
            raise InputError(f"there is no memory {memory!r}", f"choose one of {', '.join(MEMORY_MODES)}")
        opened = open_backend(backend, precision, threads)
        verified = Bundle.open(bundle, on_verified)
        plan = plan_chain(verified.manifest, timestep)
        chain = Chain(plan, verified, opened, slots=slots, priority=priority, capture=capture, memory=memory)
        chain.write("prompt", verified.prompt())
        if timestep is not None:
            chain.write("timestep", np.array([timestep], np.int32))
        return cls(verified, chain, opened, seed, noise)

    @property
    def chain(self) -> Chain:
        """What runs the steps.

        Raises:
            InputError: the pipeline is closed.
        """
        if self._chain is None:
            raise InputError("the pipeline is closed", "load it again: Pipeline.load(bundle)")
        return self._chain

    @property
    def captured(self) -> bool:
        """Whether a step is one graph launch."""
        return self.chain.captured

    @property
    def memory(self) -> ArenaPlan:
        """Where every buffer lies; engines' weights are not in it."""
        return self.chain.arena

    @property
    def schedule(self) -> Schedule:
        """Which stage runs on which stream, and what it waits for."""
        return self.chain.schedule

    def step(self, scene: Scene | Mapping[str, Any], *, seed: int | None = None, stream: Any = None) -> Result:
        """Refine one scene, and wait for it.

        Args:
            scene: a `Scene` of any image size, whose images are scaled and cropped to the preset's with the intrinsics adjusted; or input
                tensors by name at the preset's own sizes, on the host or on the device: images, xyz, rgb, num_points, world_to_camera,
                intrinsics. What is not given stays as this pipeline was last given it.
            seed: draw new noise first; it stays for the following steps.
            stream: on which device arrays are made: its handle, or cuda.core's, torch's or CuPy's object. The copies wait for it, and it
                waits for them, so the arrays may be overwritten on it.

        Returns:
            Views of the chain's memory, valid until the next step; `Result.copy` detaches them.

        Raises:
            InputError: an argument is of the wrong type or out of range, the cloud is larger than the preset's max_points, the
                trajectory is not as long as the preset's frames, or the pipeline is closed. The noise then stays as it was.
            BackendError: a graph failed, or every slot is held by a handle.
        """
        with self._step_lock:
            last, self._last = self._last, None
            if last is not None:
                last.release()
            handle = self._start(scene, seed, stream, _PATIENCE_S, aside=False)
            self._last = handle
            try:
                return handle.result()
            except BaseException:
                self._last = None
                handle.release()
                raise

    def submit(
        self,
        scene: Scene | Mapping[str, Any],
        *,
        seed: int | None = None,
        stream: Any = None,
        timeout: float | None = _PATIENCE_S,
    ) -> Handle:
        """Begin to refine one scene and return at once. On the CPU a thread runs what was submitted, in order.

        Args:
            scene, seed, stream: see `step`. Device arrays must stay as they are until the step has ended, unless ``stream`` is given.
            timeout: seconds to wait for a slot that no handle holds; 0 refuses at once, None waits for as long as it takes.

        Raises:
            InputError: see `step`.
            BackendError: no slot became free in time.
        """
        return self._start(scene, seed, stream, timeout, aside=True)

    def bind(self, name: str, array: Any) -> None:
        """Let the chain use your memory for an input, in place, from the next step on; nothing can be given for it any more.

        It waits for the steps under way, and captures again before it returns. You keep the array unchanged while a step runs.

        Args:
            name: an input; or, with slots=1, one of "frames", "coarse", "depth" and "hole_mask".
            array: of the buffer's whole dtype and shape, contiguous, on the pipeline's device.

        Raises:
            InputError: there is no such buffer, or the array does not fit.
            BackendError: an engine refuses its address.
        """
        with self._step_lock, self._lock:
            chain = self.chain
            known = [buffer.name for buffer in chain.plan.of_role("input")] + list(_RESULTS)
            if name not in known:
                raise InputError(f"the chain has no tensor {name!r} to bind", f"it has {', '.join(known)}")
            self._settle()
            found = taken(chain.device, chain.plan.buffer(name), array, chain.lanes[0].handle, whole=True)
            if isinstance(found, np.ndarray):
                if chain.device.kind != "cpu":
                    raise InputError(f"{name} lies on the host; the pipeline runs on {chain.device.name}")
                found = TensorView.of_numpy(found)
            if self._last is not None:
                self._last.release()
                self._last = None
            chain.bind(name, found)

    def timeline(self, repeats: int = 20) -> tuple[StageTime, ...]:
        """When each stage runs within a step, medians over some runs on what the first slot holds; for measuring."""
        with self._lock:
            self._settle()
            return self.chain.timeline(repeats)

    def tensor(self, name: str) -> npt.NDArray[Any]:
        """A copy on the host of one of the chain's buffers as the last step left it, for looking into a step: "z_r", "condition",
        "logits", "z_0", …. It waits for the device and copies: no part of a cycle that has a deadline.

        Args:
            name: a buffer of `ChainPlan`.

        Raises:
            InputError: there is no such buffer, or the pipeline is closed.
        """
        with self._lock:
            chain = self.chain
            known = [buffer.name for buffer in chain.plan.buffers]
            if name not in known:
                raise InputError(f"the chain has no tensor {name!r}", f"it has {', '.join(known)}")
            self._settle()
            return chain.read(name, self._newest).copy()

    def close(self) -> None:
        """Wait for the steps under way and let engines and buffers go; results that were not copied are no longer to be had."""
        with self._lock:
            if self._chain is None:
                return
            try:
                self._settle()
            finally:
                if self._worker is not None:
                    self._worker.shutdown()
                self._chain = None

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, given: Any, seed: int | None, stream: Any, timeout: float | None, aside: bool) -> Handle:
        started = time.monotonic_ns()
        seed = None if seed is None else checked_seed(seed)
        after = None if stream is None else stream_handle(stream)
        chain = self.chain
        inputs = given_inputs(given, self.preset, chain.plan, chain.bound)
        slot = self._slots.take(timeout)
        try:
            with self._lock:
                chain = self.chain
                chain.device.use()
                if seed is not None:
                    self._draw(seed)
                arrays = {
                    name: taken(chain.device, chain.plan.buffer(name), array, chain.upload_stream)
                    for name, array in inputs.items()
                }
                chain.upload(arrays, slot, after)
                run = self._run(chain, slot, aside)
                self._number += 1
                self._newest = slot
                number, used = self._number, self._seed
                if "num_points" in inputs:
                    count = inputs["num_points"]
                    self._points = int(count[0]) if isinstance(count, np.ndarray) else None
                points = self._points
                stamp = given.timestamp_ns if isinstance(given, Scene) else None
        except BaseException:
            self._slots.give(slot)
            raise

        def collect(handle: Handle) -> Result:
            inputs.clear()  # device arrays were kept until here
            count, timestep = (int(value) for value in chain.slots[slot].status)
            step = Step(
                number=number,
                status="invalid" if count else "ok",
                timestep=timestep,
                seed=used,
                num_points=points,
                scene_timestamp_ns=stamp,
                started_ns=started,
                finished_ns=time.monotonic_ns(),
                timings_ms=run.times,
            )
            return self._result(step, chain, slot, handle)

        handle = Handle(run, collect, lambda reader: self._release(chain, slot, run, reader))
        self._under_way = [other for other in self._under_way if not other.done] + [handle]
        return handle

    def _run(self, chain: Chain, slot: int, aside: bool) -> DeviceRun | HostRun:
        if chain.device.captures:
            chain.launch(slot)
            return DeviceRun(chain, slot)
        if not aside:
            self._settle()
            return HostRun.ended(chain.launch(slot))
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, "videoscene_rt")
        return HostRun(self._worker.submit(chain.launch, slot))

    def _result(self, step: Step, chain: Chain, slot: int, handle: Handle) -> Result:
        def stale() -> str:
            if self._chain is None:
                return f"the result of step {step.number} went with its pipeline, which is closed"
            return f"the result of step {step.number} was given back for a later step" if handle.released else ""

        if chain.device.kind == "cpu":
            return Result(step, {name: chain.download(slot)[name] for name in _RESULTS}, stale)
        from videoscene_rt.engines.cuda.array import DeviceArray

        place = chain.slots[slot]
        arrays = {
            name: DeviceArray(chain.device, chain.view(name, slot), place.done, chain.lanes[0], place.readers.add)  # type: ignore[arg-type]
            for name in _RESULTS
        }
        return Result(step, arrays, stale, lambda: chain.download(slot))

    def _release(self, chain: Chain, slot: int, run: DeviceRun | HostRun, reader: int | None) -> None:
        if isinstance(run, HostRun):
            with suppress(Exception):  # what went wrong in it was its handle's to say
                run.wait(None)
        if reader is not None:
            chain.slots[slot].readers.add(reader)
        self._slots.give(slot)

    def _settle(self) -> None:
        """Wait for every step under way; what goes wrong in one is its handle's to say."""
        for handle in self._under_way:
            handle.settle()
        self._under_way = []

    def _draw(self, seed: int) -> None:
        self._settle()
        for name, array in draw_noise(self.preset, seed, self._noise).items():
            self.chain.write(name, array)
        self._seed = seed
