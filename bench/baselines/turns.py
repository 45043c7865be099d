"""Ours and a baseline, in turns: A B A B. What drifts, a clock that falls or a machine that has more to do, is in both."""

from __future__ import annotations

import gc
import json
import selectors
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from statistics import median
from types import TracebackType
from typing import Any

from videoscene_rt.bench.baselines.facts import BaselineFacts, Round
from videoscene_rt.bench.baselines.request import NAMES, BaselineRequest, Name
from videoscene_rt.engines.errors import BackendError, InputError

ROUNDS = 5
_CHILD = "videoscene_rt.bench.baselines.child"
_SETUP_S, _TURN_S, _END_S = 900.0, 300.0, 20.0
_TURN_LENGTH_S, _FEWEST_STEPS, _MOST_STEPS = 0.5, 3, 200


class BaselineProcess:
    """A baseline's process, from its start until the block ends.

    Args:
        request: which baseline, over what.
        python: the command line of an interpreter that has what it needs; this one's if not given.

    Raises:
        InputError: the command line is none, or there is no such program.
        BackendError: the baseline cannot run; says why.
    """

    def __init__(self, request: BaselineRequest, python: str | None) -> None:
        try:
            command = [*(shlex.split(python) if python else [sys.executable]), "-m", _CHILD]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except (OSError, ValueError) as error:
            raise InputError(f"--baseline-python {python!r} cannot be started: {error}") from error
        self._rest = b""
        self._tell(request.model_dump_json().encode())
        try:
            self.about = self._answer(_SETUP_S)
        except BaseException:
            self.close()
            raise

    def steps(self, count: int) -> list[float]:
        """Milliseconds of so many steps.

        Raises:
            BackendError: it has gone, or failed.
        """
        self._tell(json.dumps({"steps": count}).encode())
        return [float(value) for value in self._answer(_TURN_S)["host_ms"]]

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()

    def __enter__(self) -> BaselineProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    @property
    def _stdout(self) -> Any:
        return self._process.stdout

    def _tell(self, line: bytes) -> None:
        with suppress(BrokenPipeError):  # it has gone; the answer that does not come says so
            self._stdin.write(line + b"\n")
            self._stdin.flush()

    def _answer(self, patience_s: float) -> dict[str, Any]:
        end = time.monotonic() + patience_s
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not waiting.select(max(0.0, end - time.monotonic())):
                    raise BackendError(f"no answer within {patience_s:g} s")
                new = self._stdout.read1(1 << 16)
                if not new:
                    raise BackendError(
                        f"its process ended with {self._process.wait()} and said nothing",
                        "is videoscene-rt importable there?",
                    )
                self._rest += new
        line, self._rest = self._rest.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise BackendError(found["error"], found["remedy"])
        return found


def in_turns(
    request: BaselineRequest, python: str | None, subject: Callable[[], object], rounds: int = ROUNDS
) -> BaselineFacts:
    """Run a baseline's process and take turns with it. A baseline that cannot run is told, and is no error.

    Args:
        request, python: see `BaselineProcess`.
        subject: makes one of our steps and waits for it.
        rounds: turns of each.

    Raises:
        InputError: see `BaselineProcess`.
        BackendError: our own step failed.
    """
    try:
        with BaselineProcess(request, python) as process:
            one = max(median(process.steps(_FEWEST_STEPS)), median(_timed(subject, _FEWEST_STEPS)), 1e-3)
            steps = max(_FEWEST_STEPS, min(_MOST_STEPS, int(_TURN_LENGTH_S * 1e3 / one)))
            turns = []
            for _ in range(rounds):
                ours = median(_timed(subject, steps))
                turns.append(Round(subject_ms=max(ours, 1e-6), baseline_ms=max(median(process.steps(steps)), 1e-6)))
    except BackendError as error:
        return BaselineFacts(name=request.name, precision=request.precision, failure=error.problem)
    about = process.about
    return BaselineFacts(
        name=request.name,
        precision=about["precision"],
        steps=steps,
        rounds=tuple(turns),
        setup_s=about["setup_s"],
        output_rms=about["output_rms"],
        versions=about["versions"],
        notes=tuple(about["notes"]),
    )


def chosen(names: Sequence[str], backend: str) -> tuple[Name, ...]:
    """The baselines that were asked for; "all" is every one but the measured backend itself.

    Raises:
        InputError: there is no such baseline, or it is what is measured.
    """
    every = tuple(name for name in NAMES if name != backend)
    if "all" in names:
        return every
    for name in names:
        if name not in NAMES:
            raise InputError(f"there is no baseline {name!r}", f"choose of all, {', '.join(NAMES)}")
        if name == backend:
            raise InputError(f"the baseline {name} is what is measured", f"choose of {', '.join(every)}")
    return tuple(name for name in NAMES if name in names)


def _timed(step: Callable[[], object], count: int) -> list[float]:
    collecting = gc.isenabled()
    gc.disable()
    found = []
    try:
        for _ in range(count):
            begin = time.perf_counter_ns()
            step()
            found.append((time.perf_counter_ns() - begin) / 1e6)
    finally:
        if collecting:
            gc.enable()
    return found
