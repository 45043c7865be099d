"""Where the commands write: results to standard output, progress to standard error, and numbers as people read them.

Text from a user (a path with [brackets]) is never read as markup: every console here has it off.
Style through `rich.text.Text`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

_PIPE_WIDTH = 120


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the process with exit code 1 here; `main` knows what a reader that has gone means.
        raise BrokenPipeError


def _console(stream: TextIO, stderr: bool) -> Console:
    # rich takes 80 columns where there is no terminal; a log is better served by lines that do not break.
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return _Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=width)


RESULT = _console(sys.stdout, stderr=False)
STATUS = _console(sys.stderr, stderr=True)


class Step(Protocol):
    """Tells a progress bar that something is done."""

    def __call__(self, advance: float = 1, detail: str = "") -> None:
        """``detail`` is a word on what comes now; it stays until the next one."""


@contextmanager
def progress(label: str, total: float | None = None, *, quiet: bool = False) -> Iterator[Step]:
    """A bar for what takes longer than a second: ``with progress("exporting", 7) as step: … step(detail="student")``.

    On a terminal a bar, replaced at its end by one line with the time it took; elsewhere two plain lines, when it starts
    and when it is done; nothing with ``quiet`` (a command's --json). All of it on standard error.

    Args:
        label: what is being done.
        total: how many steps there are; None if nobody knows.
        quiet: write nothing.
    """
    if quiet:
        yield _nothing
        return
    start = time.perf_counter()
    if STATUS.is_terminal:
        columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
        if total is not None:
            columns += [BarColumn(bar_width=30), TaskProgressColumn(markup=True)]
        columns += [TimeElapsedColumn(), TextColumn("{task.fields[detail]}", markup=False, style="dim")]
        with Progress(*columns, console=STATUS, transient=True) as bar:
            task = bar.add_task(label, total=total, detail="")

            def step(advance: float = 1, detail: str = "") -> None:
                bar.update(task, advance=advance)
                if detail:
                    bar.update(task, detail=detail)

            yield step
    else:
        STATUS.print(f"{label} …", soft_wrap=True)
        yield _nothing
    STATUS.print(f"{label}: {seconds(time.perf_counter() - start)}", soft_wrap=True)


def _nothing(advance: float = 1, detail: str = "") -> None:
    pass


def print_json(document: Any) -> None:
    """Write one JSON document, and with --json it is the only thing on standard output.

    Raises:
        ValueError: it holds NaN or infinity.
    """
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def seconds(duration: float) -> str:
    """A duration in seconds as text: 0.0042 → "4.2 ms", 1.25 → "1.2 s", 75 → "1 min 15 s"."""
    if duration < 1:
        return milliseconds(duration * 1000)
    if duration < 59.95:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest:02d} s"


def milliseconds(duration: float) -> str:
    """A duration in milliseconds as text: 0.123 → "0.12 ms", 12.34 → "12.3 ms", 1234 → "1,234 ms"."""
    return f"{duration:.2f} ms" if duration < 1 else f"{duration:.1f} ms" if duration < 100 else f"{duration:,.0f} ms"


def size(count: int) -> str:
    """A number of bytes as text: 512 → "512 B", 2**20 → "1.0 MiB"."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1023.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"
