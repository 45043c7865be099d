"""Asking nvidia-smi or tegrastats during a run, from a process of its own: nothing of it happens in the one that is measured.

That process puts the monotonic clock, which every process of a machine shares, before each line and appends it to a file; the file can
be read at any time. The tool writes into a terminal of its own where there can be one: into a pipe, a program may keep its lines until it
has pages of them, and their times would be those of the pages. The process ends when its standard input does: with whoever started it,
whatever became of that.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from videoscene_rt.bench.beside import nvidia_smi, tegrastats
from videoscene_rt.bench.beside.facts import Moment

INTERVAL_MS = 250
_FIRST_LINE_S, _LOOK_S, _END_S = 5.0, 0.02, 5.0
_CHILD = """
import os, selectors, subprocess, sys, time
try:
    source, sink = os.openpty()
except OSError:
    source, sink = os.pipe()
tool = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
os.close(sink)
watch = selectors.DefaultSelector()
watch.register(sys.stdin.fileno(), selectors.EVENT_READ, "end")
watch.register(source, selectors.EVENT_READ, "line")
rest = b""
with open(sys.argv[1], "wb", buffering=0) as out:
    while True:
        if any(key.data == "end" for key, _ in watch.select()):
            break
        now = time.monotonic_ns()
        try:
            new = os.read(source, 65536)
        except OSError:  # so a terminal says that nobody writes to it any more
            new = b""
        if not new:
            break
        *lines, rest = (rest + new).split(b"\\n")
        for line in lines:
            out.write(b"%d %s\\n" % (now, line.rstrip(b"\\r")))
tool.terminate()
tool.wait()
"""


@dataclass(frozen=True)
class Tool:
    """Something that prints a line a moment: its name, its command for an interval in milliseconds, and a line's meaning."""

    name: str
    command: Callable[[int], Sequence[str]]
    parse: Callable[[str], Moment | None]


TOOLS = (
    Tool("tegrastats", tegrastats.command, tegrastats.parse),
    Tool("nvidia-smi", nvidia_smi.command, nvidia_smi.parse),
)
"""The first one that is installed is asked: on a Jetson, nvidia-smi is there as well and says little."""


def installed() -> Tool | None:
    """The tool of this machine; None without one."""
    return next((tool for tool in TOOLS if shutil.which(tool.name) is not None), None)


class Sampler:
    """``with Sampler(tool) as sampler:`` asks it until the block ends; `moments` are what it said. Without a tool, nothing happens.

    Args:
        tool: what to ask.
        interval_ms: how often.
    """

    def __init__(self, tool: Tool | None, interval_ms: int = INTERVAL_MS) -> None:
        self.tool = tool
        self._interval_ms = interval_ms
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = ""

    def moments(self, begin_ns: int) -> tuple[Moment, ...]:
        """Everything it has said so far, with seconds since ``begin_ns`` of the monotonic clock."""
        found = []
        for at, text in self._said():
            moment = None if self.tool is None else self.tool.parse(text)
            if moment is not None:
                found.append(moment.model_copy(update={"at_s": round((at - begin_ns) / 1e9, 4)}))
        return tuple(found)

    @property
    def nonsense(self) -> str:
        """The first line that means nothing: an error, where nothing else came."""
        return next((text for _, text in self._said() if self.tool is not None and self.tool.parse(text) is None), "")

    def _said(self) -> list[tuple[int, str]]:
        if self._folder is not None:
            with suppress(OSError):
                self._lines = (Path(self._folder.name) / "lines").read_text(encoding="utf-8", errors="replace")
        found = (line.partition(" ") for line in self._lines.splitlines())
        return [(int(at), text) for at, _, text in found if at.isdecimal() and text.strip()]

    def __enter__(self) -> Sampler:
        if self.tool is not None:
            self._folder = tempfile.TemporaryDirectory(prefix="vsrt-beside-")
            out = Path(self._folder.name) / "lines"
            command = [sys.executable, "-S", "-E", "-c", _CHILD, str(out), *self.tool.command(self._interval_ms)]
            with suppress(OSError):
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            self._await_a_line()
        return self

    def _await_a_line(self) -> None:
        """So that there is a moment of before; a tool that says nothing is waited for some seconds."""
        end = time.monotonic() + _FIRST_LINE_S
        while (
            self._process is not None and self._process.poll() is None and time.monotonic() < end and not self._said()
        ):
            time.sleep(_LOOK_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._folder is not None:
            self._said()
            self._folder.cleanup()
            self._folder = None
