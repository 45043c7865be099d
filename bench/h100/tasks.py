"""Commands with a name, a log and a result that is remembered: what a session consists of. Standard library only."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

GRACE_S = 5.0
FINISHED = ("done", "partly")
_SOME_FAILED = 3
_RECORDS = b'"records": {"'


@dataclass(frozen=True)
class Task:
    """One command.

    Attributes:
        name: its own in the session, and its log's.
        command: the program and its arguments.
        partly: exit code 3 with records in its output counts as "partly" done: some graphs failed, and the log names them.
        limit_s: it is stopped after that, or when the session's time is up.
    """

    name: str
    command: tuple[str, ...]
    partly: bool = False
    limit_s: float = 600.0


@dataclass
class Session:
    """What was done so far, in ``work``/state.json, and how much time is left.

    Attributes:
        work: bundles, records, logs and the state; it outlives a call.
        deadline: `time.monotonic` at which nothing is started any more and what runs is stopped.
        retry: run again what failed before.
    """

    work: Path
    deadline: float
    retry: bool = False
    state: dict[str, dict[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in ("logs", "records", "requests"):
            (self.work / folder).mkdir(parents=True, exist_ok=True)
        path = self.work / "state.json"
        if path.is_file():
            self.state = json.loads(path.read_text())

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def done(self, name: str) -> bool:
        """The task ended well, or well enough, in this call or one before."""
        return self.state.get(name, {}).get("status") in FINISHED

    def run(self, task: Task) -> bool:
        """Run a task unless it was done (or failed, and is not to be tried again).

        Returns:
            Whether it is done. A task that the deadline stops is "cut off" and runs again next time.
        """
        status = self.state.get(task.name, {}).get("status")
        if status == "done" or (status in ("failed", "partly") and not self.retry):
            _say(f"{task.name}: {status} before")
            return status in FINISHED
        if self.left_s <= GRACE_S:
            _say(f"{task.name}: no time left")
            return False
        limit = min(task.limit_s, self.left_s - GRACE_S)
        begin = time.monotonic()
        code = _run(task.command, self.log(task.name), limit)
        seconds = time.monotonic() - begin
        out_of_time = code is None and limit < task.limit_s
        status = "cut off" if out_of_time else self._verdict(task, code)
        self.note(task.name, status, code, seconds)
        return status in FINISHED

    def start(self, task: Task) -> None:
        """Start a task in the background, in a session of its own: it runs on when this program ends. Unless it was started."""
        if task.name in self.state and not (self.retry and self.state[task.name].get("status") == "failed"):
            return
        code = self._code_file(task.name)
        code.unlink(missing_ok=True)
        line = f"{shlex.join(task.command)}; echo $? > {shlex.quote(str(code))}"
        with self.log(task.name).open("wb") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", line], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.state[task.name] = {"status": "running", "pid": process.pid, "started": time.time()}
        self._save()
        _say(f"{task.name}: started in the background")

    def settle(self, task: Task) -> str:
        """The status of a task that was started: "running", "done", "failed", or "not started"."""
        entry = self.state.get(task.name)
        if entry is None:
            return "not started"
        if entry["status"] != "running":
            return str(entry["status"])
        alive = _alive(int(str(entry["pid"])))  # asked first: it may write its code and end at any moment
        code = self._code_file(task.name)
        if code.is_file() and (text := code.read_text().strip()):
            status = self._verdict(task, int(text))
            self.note(task.name, status, int(text), code.stat().st_mtime - float(str(entry["started"])))
            return status
        if not alive:
            self.note(task.name, "failed", None, 0.0)
            return "failed"
        return "running"

    def note(self, name: str, status: str, code: int | None, seconds: float) -> None:
        """Remember and say how a task ended."""
        self.state[name] = {"status": status, "code": code, "seconds": round(seconds, 3)}
        self._save()
        _say(f"{name}: {status} (exit code {code}, {seconds:.1f} s)")
        if status != "done":
            for line in _tail(self.log(name)):
                _say(f"    {line}")

    def log(self, name: str) -> Path:
        """Where a task's output goes."""
        return self.work / "logs" / f"{name}.log"

    def request(self, name: str, content: dict[str, object]) -> str:
        """Write a measurement's request and give its path."""
        path = self.work / "requests" / f"{name}.json"
        path.write_text(json.dumps(content, indent=1))
        return str(path)

    def _verdict(self, task: Task, code: int | None) -> str:
        if code == 0:
            return "done"
        some = task.partly and code == _SOME_FAILED and _RECORDS in self.log(task.name).read_bytes()
        return "partly" if some else "failed"

    def _code_file(self, name: str) -> Path:
        return self.work / "logs" / f"{name}.code"

    def _save(self) -> None:
        path = self.work / "state.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.state, indent=1))
        temporary.replace(path)


def _run(command: tuple[str, ...], log: Path, limit_s: float) -> int | None:
    """Exit code; None if it ran out of time (its whole process group is then stopped)."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_S / 2)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _tail(log: Path, lines: int = 6) -> list[str]:
    try:
        return log.read_text(errors="replace").strip().splitlines()[-lines:]
    except OSError:
        return []


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
