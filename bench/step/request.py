"""What `vsrt bench` is asked, checked before anything is loaded."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass, replace
from math import ceil, isfinite
from pathlib import Path
from typing import Literal, get_args

from videoscene_rt.bench.baselines.turns import PATIENCE_S, chosen
from videoscene_rt.bench.closed_loop import LoopSettings
from videoscene_rt.bench.fixed_rate import checked_deadline, checked_rate
from videoscene_rt.chain.chain import MemoryMode
from videoscene_rt.engines.backends import check_pair
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.halves import HALVES, Half
from videoscene_rt.ladder import Ladder

Mode = Literal["closed", "rate", "stream"]
MODES: tuple[Mode, ...] = get_args(Mode)
RATE_HZ = 20.0
"""What openpilot and Autoware run their models at."""
_LEAST_STEPS, _LEAST_S, _LIMIT_S, _RATE_S = 64, 3.0, 30.0, 10.0
_SHORT_WARMUP, _FEW = 2, 8


@dataclass(frozen=True)
class BenchRequest:
    """A measurement of one bundle.

    Attributes:
        bundle: its folder. scenes: scene folders, of which the first is measured; the built-in room without one.
        backend, precision, seed, threads, memory: see `Pipeline.load`.
        encoder, decoder: see `Pipeline.load`; one decoder.
        modes: in what ways load is put on it.
        rate_hz: of the mode "rate"; None is `RATE_HZ`. deadline_ms: from the arrival; one period if not given.
        ladder: steps at the rate are made by the deadline, see `Pipeline.step`; None lets them take their time.
        steps, seconds: of each series, at least; `settings` says what they are where they are not given.
        starts: processes that start warm; 0 measures none.
        every_way: measure every way of giving inputs on the CPU too, where they hardly differ.
        baselines: what takes turns with it, see `videoscene_rt.bench.baselines.turns.chosen`; baseline_python: the command line of an
            interpreter for them. checkpoint, kernels: see `videoscene_rt.bench.baselines.request.BaselineRequest`.
        baseline_limit_s: how long one may take until its first step is done.
        whatever_runs: a baseline that does not run is no failure; so with "all".
    """

    bundle: Path
    backend: str = "onnxruntime"
    precision: str = "fp32"
    scenes: tuple[Path, ...] = ()
    modes: tuple[Mode, ...] = MODES
    ladder: Ladder | None = None
    rate_hz: float | None = None
    deadline_ms: float | None = None
    steps: int | None = None
    seconds: float | None = None
    seed: int = 0
    threads: int | None = None
    memory: MemoryMode = "auto"
    encoder: Half | None = None
    decoder: Half | None = None
    starts: int = 3
    every_way: bool = False
    baselines: tuple[str, ...] = ()
    baseline_python: str | None = None
    checkpoint: Path | None = None
    kernels: Path | None = None
    baseline_limit_s: float = PATIENCE_S
    whatever_runs: bool = False

    def checked(self) -> BenchRequest:
        """The same, with its modes once each and in their order.

        Raises:
            InputError: a mode, a rate, a deadline or a number is none.
            BackendError: the backend cannot do the precision.
        """
        check_pair(self.backend, self.precision)
        unknown = [mode for mode in self.modes if mode not in MODES]
        if unknown or not self.modes:
            raise InputError(
                f"there is no mode {', '.join(map(repr, unknown)) or 'given'}", f"choose of {', '.join(MODES)}"
            )
        if (
            self.rate_hz is not None or self.deadline_ms is not None or self.ladder is not None
        ) and "rate" not in self.modes:
            raise InputError(
                "a rate, a deadline and a ladder are for --mode rate, which is not asked for", "add --mode rate"
            )
        checked_deadline(self.deadline_ms, checked_rate(self.rate))
        if (self.steps is not None and self.steps < 1) or (
            self.seconds is not None and not 0 <= self.seconds <= 86_400
        ):
            raise InputError("zero samples would be taken: --steps is at least 1, --seconds from 0 to 86,400")
        for what, half in (("encoder", self.encoder), ("decoder", self.decoder)):
            if half is not None and half not in HALVES:
                raise InputError(f"there is no {what} {half!r}", f"choose one of {', '.join(HALVES)}")
        if self.starts < 0:
            raise InputError(f"there cannot be {self.starts} starts")
        if not (isfinite(self.baseline_limit_s) and self.baseline_limit_s > 0):
            raise InputError(f"a baseline cannot be there within {self.baseline_limit_s:g} s", "give a limit above 0")
        _check_command(self.baseline_python)
        modes = tuple(mode for mode in MODES if mode in self.modes)
        whatever = self.whatever_runs or "all" in self.baselines
        return replace(self, modes=modes, baselines=chosen(self.baselines, self.backend), whatever_runs=whatever)

    @property
    def bare(self) -> BenchRequest:
        """The same without what a pipeline has for streams and deadlines."""
        return replace(self, modes=("closed",), ladder=None)

    @property
    def rate(self) -> float:
        """The rate in Hz."""
        return RATE_HZ if self.rate_hz is None else self.rate_hz

    @property
    def settings(self) -> LoopSettings:
        """How long a series is: what was asked for; else 64 steps and 3 s, but no longer than half a minute. The warm-up is no longer."""
        if self.steps is None and self.seconds is None:
            return LoopSettings(iterations=_LEAST_STEPS, seconds=_LEAST_S, limit_s=_LIMIT_S)
        full = LoopSettings(iterations=self.steps or 1, seconds=self.seconds or 0.0)
        few = full.warmup_iterations if self.steps is None else min(full.warmup_iterations, self.steps)
        return full.model_copy(update={"warmup_iterations": few})

    @property
    def short(self) -> LoopSettings:
        """The settings of a series that comes when everything is warm."""
        return self.settings.model_copy(update={"warmup_iterations": _SHORT_WARMUP, "warmup_s": 0.0})

    @property
    def side(self) -> LoopSettings:
        """Of a series that is beside the point: an eighth of it."""
        full = self.short
        return full.model_copy(
            update={
                "iterations": max(1, min(full.iterations, max(_FEW, full.iterations // 8))),
                "seconds": full.seconds / 8,
            }
        )

    @property
    def arrivals(self) -> int:
        """How many inputs arrive at the rate: as many as steps were asked for, or as come within the time."""
        if self.steps is not None:
            return self.steps
        return max(1, ceil((_RATE_S if self.seconds is None else self.seconds) * self.rate))


def _check_command(command: str | None) -> None:
    """Whether the first word of a command line is a program, before minutes have gone by."""
    if command is None:
        return
    try:
        first = shlex.split(command)[:1]
    except ValueError as error:
        raise InputError(f"--baseline-python {command!r} is no command line: {error}") from error
    if not first or shutil.which(first[0]) is None:
        raise InputError(f"--baseline-python {command!r}: there is no such program", "give its path")
