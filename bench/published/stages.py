"""From a cell to something that runs, or that is counted."""

from __future__ import annotations

from dataclasses import replace

from videoscene_rt.bench.published.autoencoder import build_autoencoder_stage
from videoscene_rt.bench.published.autoencoder_chunks import build_chunked_stage
from videoscene_rt.bench.published.built import Built
from videoscene_rt.bench.published.cells import Cell
from videoscene_rt.bench.published.counts import counted
from videoscene_rt.bench.published.ends import build_policy, build_render
from videoscene_rt.bench.published.request import PublishedRequest
from videoscene_rt.bench.published.student import build_student
from videoscene_rt.bench.published.tiny import build_tiny_stage
from videoscene_rt.bench.published.weights import Draw
from videoscene_rt.bench.roofline.facts import StageCounts
from videoscene_rt.engines.preset import Preset


def build(cell: Cell, preset: Preset, request: PublishedRequest, device: str | None = None) -> Built:
    """A stage with its weights and inputs on the request's device, or on another ("meta": shapes alone).

    Raises:
        InputError: the preset has no such stage, or the C library is missing.
    """
    draw = Draw(device or request.device, request.seed)
    if cell.stage == "render":
        return build_render(cell, preset, draw, request.kernels)
    if cell.stage == "policy":
        return build_policy(cell, preset, draw)
    if cell.stage == "student":
        return build_student(cell, preset, draw, request.kernels)
    if cell.stage.startswith("tiny"):
        return build_tiny_stage(cell, preset, draw)
    own = cell.mode.startswith("own")
    return build_chunked_stage(cell, preset, draw) if own else build_autoencoder_stage(cell, preset, draw)


class Counter:
    """`StageCounts` of cells; each stage is counted once, on the published path, and costs no memory."""

    def __init__(self, preset: Preset, request: PublishedRequest) -> None:
        self._preset, self._request = preset, request
        self._known: dict[Cell, StageCounts] = {}

    def of(self, cell: Cell) -> StageCounts:
        """What the cell's stage takes at least, in the cell's dtype."""
        plain = replace(cell, mode="eager", dtype="fp32")
        if plain not in self._known:
            self._known[plain] = counted(plain, build(plain, self._preset, self._request, "meta"))
        return self._known[plain].model_copy(update={"precision": cell.dtype})
