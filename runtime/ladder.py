"""The ladder: which rungs a step with a deadline may take, and when it goes down and up again. Data, from JSON or from a program."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from videoscene_rt.engines.arguments import is_number, whole_number
from videoscene_rt.engines.errors import InputError

COARSE = "coarse"
RUNGS = ("full", "tiny", COARSE)
"""Best first: the published autoencoder's decoder, the tiny one, the rendering alone."""

_WHOLE = ("down_after", "up_after", "forget_after", "window")
_MOST = 1_000_000


@dataclass(frozen=True)
class Ladder:
    """How the rung of a step is chosen. A rung fits where its measured p99 times a margin is within what is left of the deadline.

    Args:
        rungs: some of `RUNGS` in that order, the last one "coarse". One that the pipeline does not have is passed over.
        down_margin: the rung in use is left where p99 × down_margin no longer fits, at least 1.
        up_margin: a better rung fits where p99 × up_margin does; at least down_margin.
        down_after: so many steps in a row that did not fit, then down, as far as it takes.
        up_after: so many steps in a row in which the next better rung would have fitted, then up, by one.
        forget_after: a rung that has not run for so many steps counts as not measured. Such a rung is tried: if it is late, coarse
            frames are there.
        window: so many of a rung's latest durations give its p99; of fewer than 100 that is the longest.
        grace_ms: how long after the deadline the coarse frames are waited for where not even they are there.

    Raises:
        InputError: one of them is out of range.
    """

    rungs: tuple[str, ...] = RUNGS
    down_margin: float = 1.05
    up_margin: float = 1.2
    down_after: int = 1
    up_after: int = 20
    forget_after: int = 200
    window: int = 256
    grace_ms: float = 100.0

    def __post_init__(self) -> None:
        rungs = tuple(self.rungs) if isinstance(self.rungs, (list, tuple)) else ()
        if rungs[-1:] != (COARSE,) or rungs != tuple(rung for rung in RUNGS if rung in rungs):
            raise InputError(
                f"ladder: rungs are {self.rungs!r}",
                f"name some of {', '.join(RUNGS)} in this order, and coarse at the end",
            )
        object.__setattr__(self, "rungs", rungs)
        for name in _WHOLE:
            whole_number(f"ladder: {name}", getattr(self, name), 1, _MOST)
        _real("down_margin", self.down_margin, 1.0)
        _real("up_margin", self.up_margin, self.down_margin)
        _real("grace_ms", self.grace_ms, 0.0)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Ladder:
        """A ladder from a JSON file: an object with some of these fields.

        Raises:
            InputError: there is no such file, it is no JSON object, a field is unknown or out of range.
        """
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: not a ladder: {error}") from error
        if not isinstance(found, dict):
            raise InputError(f"{path}: not a ladder: a JSON object is needed")
        known = [field.name for field in fields(cls)]
        unknown = [name for name in found if name not in known]
        if unknown:
            raise InputError(f"{path}: a ladder has no {unknown[0]!r}", f"it has {', '.join(known)}")
        try:
            return cls(**found)
        except InputError as error:
            raise InputError(f"{path}: {error.problem}", error.remedy) from error


def _real(name: str, value: Any, least: float) -> None:
    if not (is_number(value) and least <= value <= _MOST):
        raise InputError(f"ladder: {name} must be a number from {least:g} to {_MOST:,}, not {value!r}")
