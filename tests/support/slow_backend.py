"""Backends that take their time: a graph that waits until it is let go, on the host; and a device whose work goes on while it is asked."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.simulated_device import HashBackend, HashContext, HashEngine, SimulatedDevice, SimulatedEvent
from videoscene_rt import Pipeline
from videoscene_rt.chain import stage_engines
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.ladder import Ladder

PATIENCE_S = 60.0

SOON, LATE = 0.3, 30.0
"""Deadlines, seconds: one that a graph which is held back misses and any other meets, for a fast graph needs a few milliseconds; and one
that is never missed."""
PATIENT_MS = 10_000.0
"""For coarse frames after a deadline, where they do come: a busy machine may take long for them."""


class Gate:
    """Holds back every run of one graph while it is shut; open at first. What a test leaves shut opens after a minute.

    Attributes:
        entered: set when a run has come to it.
        fails: raised by the next run, once.
    """

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.entered = threading.Event()
        self.fails: Exception | None = None

    def shut(self) -> None:
        self.entered.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def go_through(self) -> None:
        self.entered.set()
        assert self._open.wait(PATIENCE_S)
        error, self.fails = self.fails, None
        if error is not None:
            raise error


class GatedBackend(HashBackend):
    """On the host, `HashBackend` whose graphs go through gates, by name; and whose latents may be made not finite."""

    def __init__(self) -> None:
        super().__init__(None)
        self.gates = {name: Gate() for name in ("renderer", "student", "decode_first")}
        self.poison = False

    def load(self, bundle: Bundle, graph: str) -> HashEngine:
        return GatedEngine(super().load(bundle, graph), self)

    def watch(self, device: Any, latent_shape: tuple[int, ...]) -> Any:
        from videoscene_rt.engines.kernels.watch import HostWatch

        return HostWatch(latent_shape)


class GatedEngine(HashEngine):
    def __init__(self, engine: HashEngine, backend: GatedBackend) -> None:
        super().__init__(engine.spec)
        self._backend = backend

    def context(self, scratch: int | None = None) -> HashContext:
        return GatedContext(self, self._backend)


class GatedContext(HashContext):
    def __init__(self, engine: GatedEngine, backend: GatedBackend) -> None:
        super().__init__(engine, None, None)
        self._backend, self._name = backend, engine.spec.name

    def enqueue(self, stream: int | None = None) -> None:
        if self._name in self._backend.gates:
            self._backend.gates[self._name].go_through()
        super().enqueue(stream)
        if self._name == "student" and self._backend.poison:
            self._views["z_0"].owner.flat[5] = np.nan


class WorkingDevice(SimulatedDevice):
    """A simulated device that does some pieces of its work, chosen at random, whenever somebody asks whether an event is done.

    Args:
        pieces: at most so many.
    """

    def __init__(self, seed: int, pieces: int) -> None:
        super().__init__(seed)
        self._pieces = pieces

    def event(self, timing: bool = False) -> SimulatedEvent:  # type: ignore[override]
        return _WorkingEvent(self)

    def work(self) -> None:
        """Some pieces, and then none."""
        left = [self._random.randint(0, self._pieces)]

        def enough() -> bool:
            left[0] -= 1
            return left[0] < 0

        self.advance(enough, until_idle=True)

    def elapsed_ms(self, begin: Any, end: Any) -> float:
        return 1.0


class _WorkingEvent(SimulatedEvent):
    @property
    def done(self) -> bool:
        if self.reached < self.recorded:
            self._device.work()  # type: ignore[attr-defined]
        return self.reached >= self.recorded


def pipeline_over(
    backend: HashBackend,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    ladder: Ladder | None = None,
    watchdog: Any = None,
    decoders: tuple[Any, ...] = (),
    **options: Any,
) -> Pipeline:
    """A pipeline whose graphs are a backend's of the tests."""
    opened = Bundle.open(bundle)
    monkeypatch.setattr(stage_engines, "watch_engine", backend.watch)
    plan = plan_chain(opened.manifest, decoders=decoders)
    chain = Chain(plan, opened, backend, **{"slots": 2, "capture": True, **options})  # type: ignore[arg-type]
    chain.write("prompt", opened.prompt())
    return Pipeline(opened, chain, backend, ladder=ladder, watchdog=watchdog)  # type: ignore[arg-type]
