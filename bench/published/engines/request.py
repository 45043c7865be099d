"""What either half is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.bench.closed_loop import LoopSettings
from videoscene_rt.bench.published.engines.item import Item, Runtime


class ExportRequest(BaseModel):
    """Which stages torch's half writes.

    Attributes:
        folder: where they go, a folder each; one that is there already is left as it is.
        preset: a preset's name, or a path that ends in .json.
        items: in their order; one that fails is a line, and the others are written.
        reference: "float32" or "float16": what the outputs are computed in, on the same numbers; None writes no outputs.
        cell_s: for one item.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    items: tuple[Item, ...]
    preset: str = "videoscene-5b"
    reference: Literal["float32", "float16"] | None = "float32"
    device: Literal["cuda", "cpu"] = "cuda"
    seed: int = Field(default=0, ge=0)
    cell_s: float = Field(default=300, gt=0)
    threads: int | None = None


class EnginesRequest(BaseModel):
    """Which engines are made and measured. Everything that was made before is used again.

    Attributes:
        folder: what torch's half wrote.
        out: folder of records and of the summary, which is added to.
        items: in their order. runtimes: of each.
        do: "make": derive and build. "measure": run what is there, which may have been made by another process; it never builds.
        wait_s: how long "make" waits for an item that torch's half has not written yet.
        level, workspace_mib: the builder's; the workspace's default is all of the device.
        plugin: TensorRT's library of attention; without it the traced attention stays.
        rewrites: False builds every graph as it was traced.
        again: build what was refused before, too.
        limit_s: for all of it. cell_s: for one item.
        device: "cpu" rehearses: TensorRT-RTX builds, ONNX Runtime's CPU provider runs the same graphs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    out: Path
    items: tuple[Item, ...]
    runtimes: tuple[Runtime, ...] = ("tensorrt",)
    do: tuple[Literal["make", "measure"], ...] = ("make", "measure")
    wait_s: float = Field(default=0, ge=0)
    level: int | None = None
    workspace_mib: int | None = None
    plugin: Path | None = None
    rewrites: bool = True
    again: bool = False
    capture: bool = True
    settings: LoopSettings = LoopSettings(warmup_iterations=1, warmup_s=0, iterations=7, seconds=0, limit_s=20)
    keep_samples: bool = True
    limit_s: float = Field(default=3600, gt=0)
    cell_s: float = Field(default=600, gt=0)
    device: Literal["cuda", "cpu"] = "cuda"
