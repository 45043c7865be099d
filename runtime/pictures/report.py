"""report.json: what a run was given, what ran it, how long it took, and what came out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.pictures.atomic import replacing

SCHEMA_VERSION: Literal[1] = 1


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SceneFacts(_Data):
    """What the run saw."""

    source: str = Field(description="the folder, or the name of a built-in scene")
    images: tuple[str, ...] = Field(default=(), description="the two images: a file name, and the size it had")
    trajectory: Literal["given", "interpolated"]


class PointCounts(_Data):
    """How many points the cloud had, and how many were rendered."""

    given: int = Field(ge=0)
    used: int = Field(ge=0)

    @property
    def thinned(self) -> bool:
        """The cloud was larger than the bundle's max_points."""
        return self.used < self.given


class BundleIdentity(_Data):
    """Which bundle ran."""

    path: str
    preset: str
    manifest_sha256: str
    graphs: dict[str, str] = Field(default_factory=dict, description="SHA-256 of each graph's ONNX file, by graph")
    weights: str = Field(
        default="", description="where the weights come from: untrained from a seed, a checkpoint, or a preset's own"
    )


class Range(_Data):
    """Smallest and largest finite value of a tensor, and whether all its values were finite."""

    minimum: float | None
    maximum: float | None
    finite: bool

    @classmethod
    def of(cls, array: np.ndarray[Any, Any]) -> Range:
        """Look at every value; an array without any finite value has no minimum and maximum (None)."""
        finite = np.isfinite(array)
        values = array if finite.all() else array[finite]
        if values.size == 0:
            return cls(minimum=None, maximum=None, finite=bool(finite.all()))
        return cls(minimum=float(values.min()), maximum=float(values.max()), finite=bool(finite.all()))


class Checks(_Data):
    """What was checked on the result."""

    status: Literal["ok", "invalid"] = Field(description="of the step: invalid if the student's result was not finite")
    hole_fraction: tuple[float, ...] = Field(description="share of hole pixels in each coarse frame, 0 to 1")
    ranges: dict[str, Range] = Field(
        default_factory=dict, description="by tensor: coarse, depth, z_r, logits (where the policy chose), z_0, refined"
    )

    @property
    def finite(self) -> bool:
        """No tensor that was looked at had NaN or infinity."""
        return all(entry.finite for entry in self.ranges.values())


class FramesReady(_Data):
    """Some neighbouring frames of a streamed step, and when they were ready."""

    first: int = Field(ge=0)
    stop: int = Field(ge=1, description="the frames are first … stop − 1")
    ready_ms: float = Field(ge=0, description="from the call")


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


class RunReport(_Data):
    """Everything there is to say about one run."""

    schema_version: Literal[1] = SCHEMA_VERSION
    created: datetime = Field(default_factory=_now, description="UTC")
    scene: SceneFacts
    points: PointCounts
    bundle: BundleIdentity
    backend: str
    precision: str
    device: str
    versions: dict[str, str] = Field(default_factory=dict, description="version of each package that had a part in it")
    seed: int
    noise: str = Field(description="how noise was drawn: the default mode or the published one")
    timestep: int = Field(ge=0, le=999, description="the timestep t that the policy chose")
    timings_ms: dict[str, float] = Field(description="milliseconds of wall-clock time by stage, in the order they ran")
    encoder: str = Field(default="", description="full or tiny")
    decoder: str = Field(default="", description="full or tiny")
    first_frames_ms: float | None = Field(
        default=None,
        description="from the call until the first refined frames were ready; of a whole step, all of them",
    )
    stream: tuple[FramesReady, ...] = Field(default=(), description="the chunks of a streamed step")
    checks: Checks
    files: dict[str, str] = Field(default_factory=dict, description="what was written: the path by what it is")
    notes: tuple[str, ...] = Field(
        default=(), description="what a reader must know: points thinned, weights untrained, …"
    )


def write_report(path: str | os.PathLike[str], report: BaseModel | Mapping[str, Any]) -> None:
    """Write a report as indented JSON (UTF-8), under a temporary name first.

    A float that is NaN or infinite becomes null, since JSON has no word for it. Keys keep their order.

    Args:
        path: the file to write; its folder exists.
        report: a model or a mapping of what `plain` takes.

    Raises:
        InputError: the path cannot be written.
        TypeError: something in it has no form in JSON.
    """
    text = json.dumps(plain(report), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_bytes((text + "\n").encode("utf-8", "backslashreplace"))


def plain(value: Any) -> Any:
    """The value in JSON's own types: models, mappings, sequences, NumPy's, paths, enums, times (ISO 8601).

    Raises:
        TypeError: it has no form in JSON.
    """
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="python"))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    raise TypeError(f"{type(value).__name__} has no form in JSON: {value!r}")
