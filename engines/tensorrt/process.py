"""The builder's process as its parent sees it: started, listened to, and ended with everything that it started."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videoscene_rt.engines.tensorrt.log import reason

Progress = Callable[[str, float], None]

JOB = "job.json"
_PAUSE_S = 0.5
_LAST_WORDS = 2000
_LONGEST_EVENT = 1 << 20
_ENDED_BY_US_OR_OTHERS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# A fault on the device is sticky: the builder says so, fails everything after it, and often crashes later. CUDA errors 700 to 729.
_DEVICE_FAULT = re.compile(
    r"illegal memory access|misaligned address|illegal instruction|unspecified launch failure|cudaError ?7[0-2]\d|launch timed out",
    re.IGNORECASE,
)


@dataclass
class Heard:
    """What one run of the worker left: its events, its exit code (negative: a signal), its last words on standard error and output, and
    how far it came: a phase and a fraction of it."""

    code: int = 0
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    messages: list[tuple[str, str]] = field(default_factory=list)
    output: str = ""
    reached: tuple[str, float] = ("starting", 0.0)

    @property
    def errors(self) -> list[str]:
        """Texts of its errors."""
        return [text for severity, text in self.messages if severity in ("ERROR", "INTERNAL_ERROR")]

    @property
    def texts(self) -> tuple[str, ...]:
        """Its messages, "SEVERITY: text"."""
        return tuple(f"{severity}: {text}" for severity, text in self.messages)

    @property
    def death(self) -> str:
        """How the builder died, in words; "" if it did not."""
        if self.result is not None and self.code == 0:
            return ""
        words = reason(self.errors) or reason(self.output.strip().splitlines()[-1:])
        last = f" ({words})" if words else ""
        if self.code < 0 and -self.code not in _ENDED_BY_US_OR_OTHERS:
            return f"{signal_name(-self.code)}{last}"
        fault = _DEVICE_FAULT.search(f"{words}\n{self.error}\n{self.output}")
        return f"{fault[0].lower()}{last}" if fault else ""


def listen(worker: Sequence[str], scratch: Path, on_progress: Progress | None) -> Heard:
    """Run a worker on the job in a folder of its own until it ends, or until this function does.

    Args:
        worker: the command; the job's path and the number of the pipe for its events are added.
        scratch: the folder; it becomes the working folder and takes temporary files.
        on_progress: called with a phase and the fraction of it that is done, every second or so; what it raises ends the worker.
    """
    heard = Heard()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as pipe, (scratch / "output").open("w+b") as output:
        try:
            process = subprocess.Popen(
                [*worker, str((scratch / JOB).absolute()), str(writing)],
                pass_fds=(writing,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=scratch,
                env=_environment(scratch),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        try:
            told = 0.0
            for line in _lines(pipe.fileno(), process.pid):
                before = heard.reached
                _take(line, heard)
                if on_progress is not None and (heard.reached != before or time.monotonic() - told > _PAUSE_S):
                    told = time.monotonic()
                    on_progress(*heard.reached)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            heard.code = _end(process)
        output.seek(max(0, output.seek(0, os.SEEK_END) - _LAST_WORDS))
        heard.output = output.read().decode("utf-8", "replace")
    return heard


def _environment(scratch: Path) -> dict[str, str]:
    """Ours, with temporary files where they are removed and modules found where we found them."""
    found = [str(Path(entry).absolute()) for entry in sys.path]
    return {**os.environ, "TMPDIR": str(scratch.absolute()), "PYTHONPATH": os.pathsep.join(found)}


def _lines(descriptor: int, worker: int) -> Iterator[bytes]:
    """Lines as they come, and an empty one where none came for a while, until the pipe closes or the process has ended and left
    nothing in it."""
    rest = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], _PAUSE_S)
        if not ready:
            if os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                return
            yield b""
            continue
        data = os.read(descriptor, 1 << 16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[-_LONGEST_EVENT:]
        yield from lines


def _take(line: bytes, heard: Heard) -> None:
    """One event. A line that is none is left out: a builder that lost its mind may write anything."""
    try:
        event = json.loads(line)
        ((kind, value),) = event.items()
    except (ValueError, AttributeError):
        return
    match kind, value:
        case "progress", [str(phase), int() | float() as fraction]:
            heard.reached = (phase, float(fraction))
        case "message", [str(severity), str(text)]:
            heard.messages.append((severity, text))
        case "result", dict():
            heard.result = value
        case "error", {"problem": str()}:
            heard.error = value


def _end(process: subprocess.Popen[bytes]) -> int:
    """End the worker and every process of its group, and wait. The worker is not reaped before, so the number is still its own.

    Returns:
        Its exit code; negative if it was a signal.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def signal_name(number: int) -> str:
    """Like "SIGSEGV"."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
