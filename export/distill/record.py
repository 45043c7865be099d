"""The log of a run: one JSON object a line, flushed at once."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


class Record:
    """Appends lines to log.jsonl; a line names its stage, its step and the seconds since this process began.

    Args:
        path: the file; lines that are there stay.
        echo: also write each line to standard output.
    """

    def __init__(self, path: Path, echo: bool = True) -> None:
        self.path, self.echo = path, echo
        self._start = time.monotonic()

    def write(self, stage: str, **figures: object) -> None:
        """Append a line. Floats are rounded to six significant digits."""
        rounded = {name: _rounded(value) for name, value in figures.items()}
        line = json.dumps({"seconds": round(time.monotonic() - self._start, 2), "stage": stage, **rounded})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if self.echo:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, (list, tuple)):
        return [_rounded(part) for part in value]
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return value
