"""What is measured, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

from videoscene_rt.bench.published.request import Dtype, Mode, PublishedRequest, Stage
from videoscene_rt.engines.preset import Preset

_PUBLISHED: tuple[Mode, ...] = ("eager", "compile")
_SMALL: tuple[Mode, ...] = (*_PUBLISHED, "reduce-overhead")
MODES: dict[Stage, tuple[Mode, ...]] = {
    "render": ("eager", "kernel-eager"),
    "encode_coarse": (*_PUBLISHED, "own-eager", "own-compile"),
    "encode_images": (*_PUBLISHED, "own-eager", "own-compile"),
    "policy": _SMALL,
    "student": (*_SMALL, "own-eager", "own-compile", "kernel-eager", "kernel-compile"),
    "decode": (*_PUBLISHED, "own-eager", "own-compile"),
    "tiny_encode_coarse": _SMALL,
    "tiny_encode_images": _SMALL,
    "tiny_decode": (*_SMALL, "own-eager", "own-compile"),
}
"""What there is. The published autoencoder hands its caches from call to call, which the graphs of reduce-overhead do not allow."""


@dataclass(frozen=True)
class Cell:
    """One measurement: a stage in a mode and a dtype. ``blocks`` is the student's, and None elsewhere."""

    stage: Stage
    mode: Mode
    dtype: Dtype
    blocks: int | None = None

    @property
    def graph(self) -> str:
        """The stage as a record's identity names it: "student-42-blocks", "decode"."""
        return self.stage if self.blocks is None else f"{self.stage}-{self.blocks}-blocks"

    def __str__(self) -> str:
        return f"{self.graph} {self.dtype} {self.mode}"


def planned(request: PublishedRequest, preset: Preset) -> list[Cell]:
    """The cells of a request, in its order of modes, dtypes and stages; the renderer is float32 alone."""
    found: list[Cell] = []
    for mode in request.modes:
        for dtype in request.dtypes:
            for stage in request.stages:
                if mode not in MODES[stage]:
                    continue
                blocks = (request.blocks or (preset.student.blocks,)) if stage == "student" else (None,)
                found += [Cell(stage, mode, "fp32" if stage == "render" else dtype, count) for count in blocks]
    return list(dict.fromkeys(found))
