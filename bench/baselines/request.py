"""What a baseline's process is told, and which baselines there are. No torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

Name = Literal["torch-eager", "torch-compile", "torch-reduce-overhead", "onnxruntime", "onnxruntime-cuda"]
NAMES: tuple[Name, ...] = get_args(Name)
TORCH = "torch-"


class BaselineRequest(BaseModel):
    """One baseline over a bundle's step.

    Attributes:
        name: which.
        bundle, scenes, seed, threads: as of the step that it is held against.
        precision: a ceiling; torch runs in FP16 what that step runs in FP16 or INT8.
        device: "cuda" or "cpu"; where torch runs.
        checkpoint: of a bundle that was made from one: torch reads its weights there.
        kernels: the shared library of the native kernels, for torch on a GPU; without it torch renders by the traced module.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    bundle: Path
    scenes: tuple[Path, ...] = ()
    seed: int = 0
    threads: int | None = None
    precision: str = "fp32"
    device: Literal["cuda", "cpu"] = "cpu"
    checkpoint: Path | None = None
    kernels: Path | None = None
