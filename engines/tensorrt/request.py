"""What is asked of the builder, and what it gives back: the words that the supervisor and the worker share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.plugin import Plugin
from videoscene_rt.engines.tensorrt.capabilities import Package

Precision = Literal["fp32", "fp16", "int8"]
DEFAULT_LEVEL = 3
"""The builder's own default optimization level, in every version."""
_LEVELS = range(6)
MOST_WORKSPACE_MIB = 1 << 24
"""16 TiB: in bytes it still is a number that every version takes."""


@dataclass(frozen=True)
class PlanRequest:
    """One plan to build.

    Attributes:
        onnx: the graph, with its external data where it says. Strongly typed networks take every type from it.
        out: where the plan goes; its folder exists.
        package: the Python module of the TensorRT to build with.
        precision: the graph's; weakly typed builders (8.6) get their flags from it.
        layer_precisions: by ONNX node name, "fp32" or "fp16"; for weakly typed builders alone.
        half: inputs and outputs that the plan has in FP16 where the graph has FP32; for the same.
        workspace_mib: the most scratch memory a layer may take; None leaves the builder's default.
        level: builder optimization level, 0…5; None is 3.
        timing_cache: a file of tactic timings to read and to add to; shared between builds.
        plugin: the library of an op that the graph has, in a folder of its owner's alone; None for a graph without one.

    Raises:
        InputError: a value is out of range.
    """

    onnx: Path
    out: Path
    package: Package
    precision: Precision
    layer_precisions: Mapping[str, str] = field(default_factory=dict)
    workspace_mib: int | None = None
    level: int | None = None
    timing_cache: Path | None = None
    plugin: Plugin | None = None
    half: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.package not in get_args(Package):
            raise InputError(f"there is no package {self.package!r}; there are {', '.join(get_args(Package))}")
        if self.precision not in get_args(Precision):
            raise InputError(f"precision must be one of {', '.join(get_args(Precision))}, not {self.precision!r}")
        if self.level is not None and self.level not in _LEVELS:
            raise InputError(f"the builder's level must be {_LEVELS[0]} to {_LEVELS[-1]}, not {self.level}")
        if self.workspace_mib is not None and not 1 <= self.workspace_mib <= MOST_WORKSPACE_MIB:
            raise InputError(f"the workspace must be 1 to {MOST_WORKSPACE_MIB} MiB, not {self.workspace_mib}")


@dataclass(frozen=True)
class Attempt:
    """One way to run the builder: tactic sources (None: its own) and the highest level to use (None: the one asked for)."""

    tactic_sources: tuple[str, ...] | None = None
    level: int | None = None


@dataclass(frozen=True)
class Tried:
    """An attempt and what came of it: "built", or how the builder died."""

    attempt: Attempt
    outcome: str


@dataclass(frozen=True)
class PlanResult:
    """A plan was built.

    Attributes:
        seconds: of the whole build, all attempts and starting the builder's process included.
        attempt: what came through, for the identity: {"tactic_sources": list or None, "level": int}.
        messages: the builder's own, "SEVERITY: text", INFO and above, of the last attempt.
        tried: every attempt, in order.
        version: of the package that built it.
    """

    seconds: float
    attempt: dict[str, Any]
    messages: tuple[str, ...]
    tried: tuple[Tried, ...]
    version: str


class BuilderError(BackendError):
    """The builder refused or died; ``messages`` are its own words and ``tried`` what was attempted. Exit code 3."""

    def __init__(
        self, problem: str, remedy: str | None = None, *, messages: tuple[str, ...] = (), tried: tuple[Tried, ...] = ()
    ) -> None:
        super().__init__(problem, remedy)
        self.messages = messages
        self.tried = tried


@dataclass(frozen=True)
class Job:
    """What the worker reads: one attempt at a request. ``parent`` is the process that waits for it; None by hand.
    ``plugin`` is a library's path and its SHA-256."""

    onnx: str
    out: str
    package: Package
    precision: Precision
    layer_precisions: dict[str, str]
    workspace_mib: int | None
    level: int
    tactic_sources: list[str] | None
    timing_cache: str | None
    parent: int | None = None
    plugin: list[str] | None = None
    half: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """From JSON that `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
