"""Ours and a baseline, in turns: A B A B. What drifts, a clock that falls or a machine that has more to do, is in both."""

from __future__ import annotations

import gc
import json
import os
import selectors
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from statistics import median
from types import TracebackType
from typing import IO, Any

from videoscene_rt.bench.baselines.facts import BaselineFacts, Round
from videoscene_rt.bench.baselines.request import NAMES, BaselineRequest, Name
from videoscene_rt.engines.errors import BackendError, InputError, VsrtError

ROUNDS = 5
PATIENCE_S = 900.0
_CHILD = "videoscene_rt.bench.baselines.child"
_TURN_S, _END_S, _LOOK_S = 300.0, 20.0, 1.0
_TURN_LENGTH_S, _FEWEST_STEPS, _MOST_STEPS = 0.5, 3, 200
_LAST_BYTES = 8192


class BaselineProcess:
    """A baseline's process, from its start until the block ends.

    Args:
        request: which baseline, over what.
        python: the command line of an interpreter that has what it needs; this one's if not given.
        patience_s: how long it may take until its first step is done.
        log: takes its standard error; a file that goes with the process if not given.

    Raises:
        InputError: the command line is none, or there is no such program.
        BackendError: the baseline cannot run; says why.
    """

    def __init__(
        self, request: BaselineRequest, python: str | None, patience_s: float = PATIENCE_S, log: IO[bytes] | None = None
    ) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile() if log is None else log  # noqa: SIM115 - it goes with the process
        self._patience_s = patience_s
        try:
            command = [*(shlex.split(python) if python else [sys.executable]), "-m", _CHILD]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log)
        except (OSError, ValueError) as error:
            raise InputError(f"--baseline-python {python!r} cannot be started: {error}") from error
        self._rest = b""
        self._tell(request.model_dump_json().encode())
        try:
            self.about = self._answer(patience_s)
        except BaseException:
            self.close(at_once=True)
            raise

    def steps(self, count: int) -> list[float]:
        """Milliseconds of so many steps.

        Raises:
            BackendError: it has gone, or failed.
        """
        self._tell(json.dumps({"steps": count}).encode())
        return [float(value) for value in self._answer(min(_TURN_S, self._patience_s))["host_ms"]]

    def close(self, at_once: bool = False) -> None:
        """End the process; ``at_once`` without letting it finish what it does."""
        if at_once:
            self._process.kill()
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
        self.close(at_once=error is not None)

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
                left = end - time.monotonic()
                # Processes of its own may hold its standard output open when it has gone, so its end is looked for as well.
                gone = self._process.poll() is not None
                if not waiting.select(0.0 if gone else max(0.0, min(left, _LOOK_S))):
                    if gone:
                        raise self._gone()
                    if left <= 0:
                        raise BackendError(f"no answer within {patience_s:g} s{self._last_words()}")
                    continue
                new = self._stdout.read1(1 << 16)
                if not new:
                    raise self._gone()
                self._rest += new
        line, self._rest = self._rest.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise BackendError(found["error"], found["remedy"])
        return found

    def _gone(self) -> BackendError:
        return BackendError(
            f"its process ended with {self._process.wait()}{self._last_words()}", "is videoscene-rt importable there?"
        )

    def _last_words(self) -> str:
        """The last line of its standard error."""
        file = self._log.fileno()
        text = os.pread(file, _LAST_BYTES, max(0, os.fstat(file).st_size - _LAST_BYTES)).decode(errors="replace")
        lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
        return f"; its last words: {lines[-1]}" if lines else " and said nothing"


def in_turns(
    request: BaselineRequest,
    python: str | None,
    subject: Callable[[], object],
    rounds: int = ROUNDS,
    patience_s: float = PATIENCE_S,
    log: IO[bytes] | None = None,
) -> BaselineFacts:
    """Run a baseline's process and take turns with it. A baseline that cannot run, or breaks off, is told, and is no error.

    Args:
        request, python, patience_s, log: see `BaselineProcess`.
        subject: makes one of our steps and waits for it.
        rounds: turns of each.
    """
    facts = BaselineFacts(name=request.name, precision=request.precision)
    turns: list[Round] = []
    steps = 0
    try:
        with BaselineProcess(request, python, patience_s, log) as process:
            about = process.about
            facts = BaselineFacts(
                name=request.name,
                precision=about["precision"],
                setup_s=about["setup_s"],
                output_rms=about["output_rms"],
                versions=about["versions"],
                notes=tuple(about["notes"]),
            )
            one = max(median(process.steps(_FEWEST_STEPS)), median(_timed(subject, _FEWEST_STEPS)), 1e-3)
            steps = max(_FEWEST_STEPS, min(_MOST_STEPS, int(_TURN_LENGTH_S * 1e3 / one)))
            for _ in range(rounds):
                ours = median(_timed(subject, steps))
                turns.append(Round(subject_ms=max(ours, 1e-6), baseline_ms=max(median(process.steps(steps)), 1e-6)))
    except VsrtError as error:
        return facts.model_copy(update={"steps": steps, "rounds": tuple(turns), "failure": error.problem})
    return facts.model_copy(update={"steps": steps, "rounds": tuple(turns)})


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
