"""A request from beginning to end: one that fails is a line, and what there is so far is on the disk at any time."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch

from videoscene_rt.bench.published.alarm import TimeIsUp, within
from videoscene_rt.bench.published.cells import Cell, planned
from videoscene_rt.bench.published.finding import Finding
from videoscene_rt.bench.published.measuring import Measuring, first_line
from videoscene_rt.bench.published.parity import student_parity
from videoscene_rt.bench.published.rates import measured_rates
from videoscene_rt.bench.published.request import PublishedRequest
from videoscene_rt.bench.published.summary import earlier, summarised, write_summary
from videoscene_rt.bench.published.weights import Draw
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.export.presets import load_preset

_LEAST_S = 1.0
Measure = Callable[[Cell, float], Finding]


def measure_published(request: PublishedRequest, measure: Measure | None = None) -> dict[str, Any]:
    """Measure a request's cells, then parity, within its time.

    Args:
        request: what. measure: measures one cell; `Measuring` by default.

    A summary of the same preset that lies in the folder is added to; what is measured again takes its place.

    Returns:
        ``records``: file by cell; ``failures``: problem by cell; ``summary``: the table's file.

    Raises:
        InputError: the preset or the folder is wrong, or nothing of what was asked for exists.
        BackendError: there is no CUDA device.
    """
    end = time.monotonic() + request.limit_s
    preset = load_preset(request.preset)
    cells = planned(request, preset)
    if not cells and not request.parity:
        raise InputError("none of the modes exists for the stages", "see docs/benchmarks.md for which there are")
    if request.device == "cuda" and not torch.cuda.is_available():
        raise BackendError("torch sees no CUDA device", 'measure on "cpu", or on a machine with a GPU')
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{request.out} cannot be made: {error.strerror}") from error
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    logging.getLogger("diffusers").setLevel(
        logging.ERROR
    )  # else it says at every cast which modules it would rather cast itself: none
    versions = {"torch": torch.__version__, "diffusers": version("diffusers")}
    rates = measured_rates(request.device, request.dtypes)
    one_cell = measure or Measuring(preset, request, rates)
    before = earlier(request.out, preset)
    findings: list[Finding] = []
    parity: list[dict[str, Any]] = []

    def left() -> float:
        return min(request.cell_s, end - time.monotonic())

    with torch.no_grad():
        for cell in cells:
            findings.append(_found(cell, one_cell, left()))
            _forget()
            write_summary(request.out, summarised(preset, rates, versions, findings, parity, before))
        for dtype in request.dtypes if request.parity else ():
            blocks = max(request.blocks or (preset.student.blocks,))
            draw = Draw(request.device, request.seed)
            facts = {"dtype": dtype, "blocks": blocks}
            try:
                seconds = _enough(left())
                with within(seconds):
                    parity.append(student_parity(preset, blocks, dtype, draw, request.kernels))
            except (Exception, TimeIsUp) as error:  # as for a cell
                parity.append({**facts, "problem": first_line(error)})
            _forget()
            write_summary(request.out, summarised(preset, rates, versions, findings, parity, before))
    named = {f"parity {one['blocks']} {one['dtype']}": one["problem"] for one in parity if "problem" in one}
    problems = {str(_cell(one)): one.problem for one in findings if one.problem}
    return {
        "records": {str(_cell(one)): str(request.out / one.record) for one in findings if one.record},
        "failures": {**problems, **named},
        "summary": str(request.out / "summary.md"),
    }


def _found(cell: Cell, measure: Measure, seconds: float) -> Finding:
    try:
        seconds = _enough(seconds)
        with within(seconds):
            return measure(cell, seconds)
    except (Exception, TimeIsUp) as error:  # whatever a stage dies of, the others are measured
        return Finding(
            stage=cell.stage, mode=cell.mode, dtype=cell.dtype, blocks=cell.blocks, problem=first_line(error)
        )


def _enough(seconds: float) -> float:
    if seconds < _LEAST_S:
        raise TimeIsUp("not begun: the time of the request was over")
    return seconds


def _cell(one: Finding) -> Cell:
    return Cell(one.stage, one.mode, one.dtype, one.blocks)  # type: ignore[arg-type]  # torch's modes alone come here


def _forget() -> None:
    """What the cell before has left: its weights in cycles, compiled code, torch's free memory."""
    torch._dynamo.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
