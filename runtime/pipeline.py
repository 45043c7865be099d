"""`Pipeline`: a bundle loaded and bound, ready to turn scenes into frames."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.noise import NoiseMode, checked_mode, checked_seed, draw_noise
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.chain.scene_inputs import scene_inputs
from videoscene_rt.engines.arguments import whole_number
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.bundle import Bundle, OnVerified
from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.errors import InputError
from videoscene_rt.result import Result, Step
from videoscene_rt.scenes.scene import Scene

_RESULTS = ("frames", "coarse", "depth", "hole_mask")


class Pipeline:
    """One loaded bundle. `step` is safe to call from several threads; the steps run one after the other.

    Make one with `Pipeline.load`; close it, or use it in a ``with`` statement.
    """

    def __init__(self, bundle: Bundle, chain: Chain, backend: Backend) -> None:
        self.bundle = bundle
        self.preset = bundle.manifest.preset
        self.backend_name = backend.name
        self.device = backend.device
        self.versions = backend.versions
        self._chain: Chain | None = chain
        self._lock = threading.Lock()
        self._number = -1
        self._noise: NoiseMode = "mean"
        self._seed = 0

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
        on_verified: OnVerified | None = None,
    ) -> Pipeline:
        """Verify a bundle, load its graphs, allocate and bind every buffer.

        Args:
            bundle: the bundle's folder.
            backend: "onnxruntime".
            precision: a ceiling: "fp32".
            seed: of the noise, see `videoscene_rt.chain.noise.draw_noise`.
            noise: "mean" (steady video) or "published" (all that the published code draws).
            timestep: t in 0…999 for every step; None lets the policy choose.
            threads: threads for one operator on the CPU, at most four times the cores; None takes every core.
            on_verified: told of the progress of the verification, see `Bundle.open`.

        Raises:
            InputError: an argument is of the wrong type or out of range (said before the bundle is read), or the bundle is not whole.
            BackendError: the backend is missing or cannot run a graph.
        """
        if not isinstance(bundle, (str, os.PathLike)):
            raise InputError(f"bundle must be the path of a folder, not {bundle!r}")
        seed, noise = checked_seed(seed), checked_mode(noise)
        timestep = None if timestep is None else whole_number("timestep", timestep, 0, 999)
        opened = open_backend(backend, precision, threads)
        verified = Bundle.open(bundle, on_verified)
        chain = Chain(plan_chain(verified.manifest, timestep), verified, opened)
        chain.write("prompt", verified.prompt())
        if timestep is not None:
            chain.write("timestep", np.array([timestep], np.int32))
        pipeline = cls(verified, chain, opened)
        pipeline._noise = noise
        pipeline._draw(seed)
        return pipeline

    def step(self, scene: Scene, *, seed: int | None = None) -> Result:
        """Refine one scene.

        Args:
            scene: of any image size; images are scaled and cropped to the preset's with the intrinsics adjusted.
            seed: draw new noise first; it stays for the following steps.

        Returns:
            Views of the chain's memory, valid until the next step; `Result.copy` detaches them.

        Raises:
            InputError: an argument is of the wrong type or out of range, the cloud is larger than the preset's max_points, the
                trajectory is not as long as the preset's frames, or the pipeline is closed. The noise then stays as it was.
            BackendError: a graph failed.
        """
        started = time.monotonic_ns()
        if not isinstance(scene, Scene):
            raise InputError(
                f"scene must be a Scene, not {type(scene).__name__}", "read a folder with Scene.load(folder)"
            )
        seed = None if seed is None else checked_seed(seed)
        inputs = scene_inputs(scene, self.preset)
        with self._lock:
            chain = self._open_chain()
            if seed is not None:
                self._draw(seed)
            for name, array in inputs.items():
                chain.write(name, array)
            self._number += 1
            timings = chain.run()
            valid = bool(np.isfinite(chain.read("z_0")).all())
            step = Step(
                number=self._number,
                status="ok" if valid else "invalid",
                timestep=int(chain.read("timestep")[0]),
                seed=self._seed,
                num_points=scene.num_points,
                scene_timestamp_ns=scene.timestamp_ns,
                started_ns=started,
                finished_ns=time.monotonic_ns(),
                timings_ms=timings,
            )
            return Result(step, {name: chain.read(name) for name in _RESULTS}, lambda: self._number)

    def tensor(self, name: str) -> npt.NDArray[Any]:
        """A copy on the host of one of the chain's buffers as the last step left it, for looking into a step: "z_r", "condition",
        "logits", "z_0", …. It waits for the device and copies: no part of a cycle that has a deadline.

        Args:
            name: a buffer of `ChainPlan`.

        Raises:
            InputError: there is no such buffer, or the pipeline is closed.
        """
        with self._lock:
            chain = self._open_chain()
            known = [buffer.name for buffer in chain.plan.buffers]
            if name not in known:
                raise InputError(f"the chain has no tensor {name!r}", f"it has {', '.join(known)}")
            found: npt.NDArray[Any] = chain.read(name).copy()
            return found

    def close(self) -> None:
        """Let the engines and buffers go; results that were not copied keep their memory alive but are no longer to be had."""
        with self._lock:
            self._chain = None
            self._number += 1

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_chain(self) -> Chain:
        if self._chain is None:
            raise InputError("the pipeline is closed", "load it again: Pipeline.load(bundle)")
        return self._chain

    def _draw(self, seed: int) -> None:
        chain = self._open_chain()
        for name, array in draw_noise(self.preset, seed, self._noise).items():
            chain.write(name, array)
        self._seed = seed
