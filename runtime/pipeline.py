"""`Pipeline`: a bundle loaded and bound, ready to turn scenes into frames."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Literal
from weakref import finalize

import numpy.typing as npt

from videoscene_rt.asked import Asked
from videoscene_rt.chain.arena import ArenaPlan
from videoscene_rt.chain.arrays import taken_whole
from videoscene_rt.chain.capturing import Capture
from videoscene_rt.chain.chain import Chain, MemoryMode
from videoscene_rt.chain.noise import NoiseMode
from videoscene_rt.chain.program import StageTime
from videoscene_rt.chain.schedule import Schedule
from videoscene_rt.collect import RESULTS
from videoscene_rt.counters import Counters, Tally, counted
from videoscene_rt.deadline import Deadlines, checked_deadline
from videoscene_rt.engines.bundle import Bundle, OnVerified
from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.halves import Half
from videoscene_rt.engines.memory_errors import memory_errors
from videoscene_rt.forks import guard
from videoscene_rt.frame_stream import FrameStream
from videoscene_rt.handle import Handle, checked_timeout
from videoscene_rt.in_use import InUse
from videoscene_rt.ladder import Ladder
from videoscene_rt.last_results import LastResults
from videoscene_rt.loading import Folder, LoadOptions, check_callable, checked_folder, load_chain
from videoscene_rt.reload import check_same_sizes, self_test
from videoscene_rt.result import Result
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.stepper import Stepper
from videoscene_rt.watchdog import OnHang, Watchdog, checked_limit

_PATIENCE_S = 10.0


class Pipeline:
    """One loaded bundle. Its methods are safe to call from several threads; the steps run one after the other.

    Make one with `Pipeline.load`; close it, or use it in a ``with`` statement.

    Attributes:
        chain: what runs the steps; for measuring.
    """

    def __init__(
        self,
        bundle: Bundle,
        chain: Chain,
        backend: Backend,
        seed: int = 0,
        noise: NoiseMode = "mean",
        *,
        ladder: Ladder | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        self.bundle = bundle
        self.preset = bundle.manifest.preset
        self.backend_name = backend.name
        self.device = backend.device
        self.versions = backend.versions
        self.notes = tuple(chain.notes)
        self._tally = tally = Tally()
        self._watchdog = watchdog
        deadlines = None if ladder is None else Deadlines(chain, ladder, tally)
        stepper = Stepper(chain, self.preset, noise, seed, tally=tally, watchdog=watchdog, deadlines=deadlines)
        self._in_use = InUse(chain, stepper)
        self._last = LastResults()
        self._options: LoadOptions | None = None
        self._swapping = threading.RLock()
        guard(self)
        if watchdog is not None:
            finalize(self, watchdog.leave).atexit = False  # where nobody closes it, the thread ends with it

    @classmethod
    @memory_errors()
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
        capture: Capture = True,
        memory: MemoryMode = "auto",
        encoder: Half | None = None,
        decoder: Half | Literal["both"] | None = None,
        streaming: bool = True,
        ladder: Ladder | None = None,
        hang_s: float | None = 60.0,
        on_hang: OnHang | None = None,
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
            capture: replay a step as one CUDA graph; False runs it stage by stage. "device-launch" asks for a graph that the device could
                launch too, whose launch costs the host less: see docs/chain.md, which says what of it is unverified.
            memory: "auto"; "mapped" (inputs and results in host memory that the GPU addresses); "copied". See docs/chain.md.
            encoder, decoder: "full" (the published autoencoder's) or "tiny", as the bundle has them; None takes the one that the bundle
                names first. ``decoder="both"`` loads every decoder that it has, and `step`, `submit` and `stream` can choose.
            streaming: prepares `stream`; on a GPU each chunk is captured as a graph of its own beside the step's.
            ladder: prepares steps with deadlines, see `step`; they need two slots.
            hang_s: a step that has not ended after so many seconds is reported by a thread of its own: a line of the logger
                ``videoscene_rt``, and on_hang. None watches nothing.
            on_hang: called then, on that thread.
            on_verified: told of the progress of the verification, see `Bundle.open`.

        Raises:
            InputError: an argument is of the wrong type or out of range (said before the bundle is read), or the bundle is not whole.
            BackendError: the backend is missing or cannot run a graph, or there is not enough memory.
        """
        folder = checked_folder(bundle)
        options = LoadOptions(
            backend=backend,
            precision=precision,
            seed=seed,
            noise=noise,
            timestep=timestep,
            threads=threads,
            slots=slots,
            priority=priority,
            capture=capture,
            memory=memory,
            encoder=encoder,
            decoder=decoder,
            streaming=streaming,
            ladder=ladder,
        ).checked()
        check_callable("on_verified", on_verified)
        check_callable("on_hang", on_hang)
        watchdog = None if hang_s is None else Watchdog(checked_limit(hang_s), on_hang)
        return cls._made(options, folder, on_verified, watchdog)

    @classmethod
    @memory_errors()
    def _made(
        cls, options: LoadOptions, bundle: Folder, on_verified: OnVerified | None, watchdog: Watchdog | None
    ) -> Pipeline:
        """A pipeline by checked options, which it keeps for `reload`."""
        loaded = load_chain(options, bundle, on_verified)
        pipeline = cls(
            loaded.bundle,
            loaded.chain,
            loaded.backend,
            options.seed,
            options.noise,
            ladder=options.ladder,
            watchdog=watchdog,
        )
        pipeline._options = options
        return pipeline

    @property
    def chain(self) -> Chain:
        """What runs the steps.

        Raises:
            InputError: the pipeline is closed.
        """
        return self._in_use.chain

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

    @property
    def decoders(self) -> tuple[Half, ...]:
        """Those that are loaded, "full" or "tiny"; the first one runs where nobody says which."""
        return self.chain.plan.decoders

    @property
    def counters(self) -> Counters:
        """What became of the steps so far."""
        deadlines, watchdog = self._in_use.stepper.deadlines, self._watchdog
        return counted(
            self._tally,
            None if deadlines is None else deadlines.climb,
            0 if watchdog is None else watchdog.hangs,
        )

    @memory_errors()
    def step(
        self,
        scene: Scene | Mapping[str, Any],
        *,
        deadline: float | None = None,
        seed: int | None = None,
        stream: Any = None,
        decoder: Half | None = None,
    ) -> Result:
        """Refine one scene, and wait for it.

        Args:
            scene: a `Scene` of any image size, whose images are scaled and cropped to the preset's with the intrinsics adjusted; or input
                tensors by name at the preset's own sizes, on the host or on the device: images, xyz, rgb, num_points, world_to_camera,
                intrinsics. What is not given stays as this pipeline was last given it.
            deadline: seconds from this call. The result is there by then: refined as far as the ladder finds possible, else the coarse
                frames; `Result.status` says which. The pipeline was loaded with a ladder. See docs/reliability.md.
            seed: draw new noise first; it stays for the following steps.
            stream: on which device arrays are made: its handle, or cuda.core's, torch's or CuPy's object. The copies wait for it, and it
                waits for them, so the arrays may be overwritten on it.
            decoder: one of `decoders`; None takes the first. With a deadline the ladder chooses.

        Returns:
            Views of the chain's memory, valid until the next `step` or `submit`; `Result.copy` detaches them.

        Raises:
            InputError: an argument is of the wrong type or out of range, the cloud is larger than the preset's max_points, the
                trajectory is not as long as the preset's frames, or the pipeline is closed. The noise, and the last step's result,
                then stay as they were.
            BackendError: a graph failed, every slot is held by a handle, or long after a deadline not even the coarse frames are there.
        """
        called = time.monotonic_ns()
        until = None if deadline is None else checked_deadline(deadline, called / 1e9)
        if until is not None and decoder is not None:
            raise InputError("with a deadline the ladder chooses the decoder", "leave one of the two out")
        asked = Asked(scene, seed, stream, _PATIENCE_S, False, called, self._last.release, until, decoder)
        return self._in_use.in_turn(until, partial(self._step, asked))

    def _step(self, asked: Asked) -> Result:
        handle, _ = self._in_use.begin(asked)
        try:
            result = handle.result()
        except BaseException:
            self._tally.count("failed")
            handle.release()
            raise
        self._last.keep(handle)
        return result

    @memory_errors()
    def submit(
        self,
        scene: Scene | Mapping[str, Any],
        *,
        seed: int | None = None,
        stream: Any = None,
        timeout: float | None = _PATIENCE_S,
        decoder: Half | None = None,
    ) -> Handle:
        """Begin to refine one scene and return at once. On the CPU a thread runs what was submitted, in order.

        Args:
            scene, seed, stream, decoder: see `step`. Device arrays must stay as they are until the step has ended, unless ``stream``
                is given.
            timeout: seconds to wait for a slot that no handle holds; 0 refuses at once, None waits for as long as it takes.

        Raises:
            InputError: see `step`.
            BackendError: no slot became free in time.
        """
        called = time.monotonic_ns()
        asked = Asked(scene, seed, stream, checked_timeout(timeout), True, called, self._last.release, decoder=decoder)
        return self._in_use.begin(asked)[0]

    def stream(
        self,
        scene: Scene | Mapping[str, Any],
        *,
        seed: int | None = None,
        stream: Any = None,
        timeout: float | None = _PATIENCE_S,
        decoder: Half | None = None,
    ) -> FrameStream:
        """Begin to refine one scene and hand out its frames chunk by chunk, each while the next is computed.

            with pipeline.stream(scene) as stream:
                for frames in stream:
                    show(frames.first, frames.host())

        Args:
            scene, seed, stream, timeout, decoder: see `submit`.

        Returns:
            An iterator over `videoscene_rt.frame_stream.Frames`, to be closed. When all frames were handed out they stay valid until the
            next `step`, `submit` or `stream`.

        Raises:
            InputError: see `step`; or the pipeline was loaded without streaming.
            BackendError: no slot became free in time.
        """
        called = time.monotonic_ns()
        asked = Asked(
            scene,
            seed,
            stream,
            checked_timeout(timeout),
            True,
            called,
            self._last.release,
            decoder=decoder,
            chunks=True,
        )
        handle, stepper = self._in_use.begin(asked)
        return FrameStream(stepper.collector.source(handle, called), self._last.keep)

    @memory_errors()
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
        with self._in_use.alone() as chain:
            known = [*(buffer.name for buffer in chain.plan.of_role("input")), *RESULTS]
            if name not in known:
                raise InputError(f"the chain has no tensor {name!r} to bind", f"it has {', '.join(known)}")
            self._in_use.stepper.settle()
            view = taken_whole(chain.device, chain.plan.buffer(name), array, chain.lanes[0].handle)
            self._last.release()
            chain.bind(name, view)
            self._in_use.stepper.bound_anew()

    def timeline(self, repeats: int = 20) -> tuple[StageTime, ...]:
        """When each stage runs within a step, medians over some runs on what the first slot holds; for measuring.

        Raises:
            InputError: the pipeline is closed.
        """
        with self._in_use.held() as stepper:
            chain = self.chain
            stepper.settle()
            return chain.timeline(repeats)

    @memory_errors()
    def tensor(self, name: str) -> npt.NDArray[Any]:
        """A copy on the host of one of the chain's buffers as the last step left it, for looking into a step: "z_r", "condition",
        "logits", "z_0", …. It waits for the device and copies: no part of a cycle that has a deadline.

        Args:
            name: a buffer of `ChainPlan`.

        Raises:
            InputError: there is no such buffer, or the pipeline is closed.
        """
        with self._in_use.held() as stepper:
            chain = self.chain
            known = [buffer.name for buffer in chain.plan.buffers]
            if name not in known:
                raise InputError(f"the chain has no tensor {name!r}", f"it has {', '.join(known)}")
            stepper.settle()
            return chain.read(name, stepper.newest).copy()

    def reload(self, bundle: str | os.PathLike[str], on_verified: OnVerified | None = None) -> None:
        """Go over to another bundle of the same sizes, between two steps; call it from a thread of its own and go on stepping.

        The new bundle is loaded as this pipeline was, and tried with steps of its own, beside the running one: for that time there are
        two in memory. Then it takes over inputs, bound memory, seed and numbers. Steps that have begun end with the old bundle, which
        goes with the last of their handles; results that you hold stay valid as they were. Two reloads follow one another.

        Args:
            bundle: the folder. on_verified: see `load`.

        Raises:
            InputError: see `load`; or its arrays have other sizes, or it lacks one of both decoders; or the pipeline is closed. It goes on
                with the bundle that it has.
            BackendError: see `load`; or the self-test failed. It goes on with the bundle that it has.
        """
        check_callable("on_verified", on_verified)
        with self._swapping:
            _ = self.chain
            if self._options is None:
                raise InputError("this pipeline was not made by Pipeline.load", "reload one that was")
            new = self._made(self._options, checked_folder(bundle), on_verified, None)
            try:
                check_same_sizes(self.chain.plan, new.chain.plan)
                self_test(new)
                new._last.release()
                self._in_use.lend_bound(new._in_use)
                self._swap(new)
            except BaseException:
                new.close()
                raise

    def _swap(self, new: Pipeline) -> None:
        with self._in_use.alone():
            self._in_use.go_over(new._in_use, self._tally, self._watchdog)
            self.bundle, self.preset, self.notes, self.versions = new.bundle, new.preset, new.notes, new.versions

    def close(self) -> None:
        """Wait for the steps under way, and for a reload, and let engines and buffers go; results not copied are no longer to be had."""
        with self._swapping:
            self._last.release()
            self._in_use.close()
            if self._watchdog is not None:
                self._watchdog.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
