"""What a measurement of the published model is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.bench.closed_loop import LoopSettings

Stage = Literal[
    "render",
    "encode_coarse",
    "encode_images",
    "policy",
    "student",
    "decode",
    "tiny_encode_coarse",
    "tiny_encode_images",
    "tiny_decode",
]
Mode = Literal["eager", "compile", "reduce-overhead", "own-eager", "own-compile", "kernel-eager", "kernel-compile"]
EngineMode = Literal[
    "tensorrt", "tensorrt-shared-block", "tensorrt-stream", "onnxruntime-cuda", "onnxruntime-cuda-parts"
]
AnyMode = Mode | EngineMode
"""Measured in torch, or by `videoscene_rt.bench.published.engines`."""
Dtype = Literal["fp32", "fp16", "bf16"]

STAGES: tuple[Stage, ...] = (
    "student",
    "decode",
    "encode_coarse",
    "encode_images",
    "render",
    "policy",
    "tiny_decode",
    "tiny_encode_coarse",
    "tiny_encode_images",
)
"""All of them, those that take longest first."""


class PublishedRequest(BaseModel):
    """Which stages, how, and for how long. Every combination that exists is measured, by mode, then dtype, then stage.

    Attributes:
        preset: a preset's name, or a path that ends in .json.
        out: folder for the records, which is made.
        modes: "eager" and the two of torch.compile are the published path (diffusers); "own" is the modules that are exported, chunk by
            chunk; "kernel" is our kernels: the renderer's, and attention in our student.
        blocks: the student's, one measurement each; the preset's number by default.
        parity: after the times, compare our student with diffusers' (the most blocks of ``blocks``).
        kernels: the C library, for the modes "kernel".
        limit_s: for all of it. cell_s: for one measurement, building and compiling included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    preset: str = "videoscene-5b"
    stages: tuple[Stage, ...] = STAGES
    modes: tuple[Mode, ...] = ("eager", "compile", "own-eager", "own-compile", "kernel-eager", "kernel-compile")
    dtypes: tuple[Dtype, ...] = ("fp16", "bf16")
    blocks: tuple[int, ...] | None = None
    parity: bool = False
    kernels: Path | None = None
    device: Literal["cuda", "cpu"] = "cuda"
    seed: int = Field(default=0, ge=0)
    settings: LoopSettings = LoopSettings(warmup_iterations=1, warmup_s=0, iterations=5, seconds=0, limit_s=20)
    keep_samples: bool = True
    limit_s: float = Field(default=3600, gt=0)
    cell_s: float = Field(default=240, gt=0)
    threads: int | None = None
