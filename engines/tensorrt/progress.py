"""The builder's progress: its nested phases (IProgressMonitor) made into one fraction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_STEP = 0.005
"""Smaller steps forward are not told."""


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """Phases open at the moment, by name; told as (innermost phase, fraction of its outermost phase done)."""

    def __init__(self, tell: Callable[[str, float], None]) -> None:
        self._tell = tell
        self._open: dict[str, _Phase] = {}
        self._told: tuple[str, float] = ("", -1.0)
        self._lock = threading.Lock()  # the builder calls from several threads

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase of that many steps begins, as one step of its parent."""
        with self._lock:
            self._open[name] = _Phase(parent, max(steps, 1))
            self._report(name)

    def step(self, name: str, index: int) -> None:
        """A step, counted from 0, is done."""
        with self._lock:
            if name in self._open:
                self._open[name].done = index + 1
                self._report(name)

    def finish(self, name: str) -> None:
        """A phase is over, whatever steps are left."""
        with self._lock:
            phase = self._open.pop(name, None)
            if phase is not None and phase.parent is None:
                self._told = (name, 1.0)
                self._tell(name, 1.0)

    def _report(self, name: str) -> None:
        fraction, inner, seen = 0.0, name, set[str]()
        current: str | None = name
        while current in self._open and current not in seen:
            seen.add(current)
            phase = self._open[current]
            fraction = min((phase.done + fraction) / phase.steps, 1.0)
            inner, current = current, phase.parent
        told, last = self._told
        if told != inner or fraction >= last + _STEP:
            self._told = (inner, fraction)
            self._tell(name, fraction)


def make_monitor(module: Any, tell: Callable[[str, float], None]) -> Any:
    """An IProgressMonitor for one TensorRT that tells through `Phases`."""

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]  # the base class is known at run time alone
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self._phases = Phases(tell)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._phases.step(phase_name, step)
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._phases.finish(phase_name)

    return Monitor()
