"""Each form of each place, timed in turns with the layer as it is, compared with it, and counted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from videoscene_rt.bench.published.modes import DTYPES
from videoscene_rt.bench.published.request import Dtype
from videoscene_rt.bench.published.weights import Draw
from videoscene_rt.bench.rewrites.places import Place, places
from videoscene_rt.engines.errors import BackendError, InputError


class RewritesRequest(BaseModel):
    """What is measured.

    Attributes:
        out: the file to write; what is measured is there at any time.
        runs: of each form after two that warm up, all forms of a place in turns.
        compiled: each form under torch.compile as well.
        latent_frames: of the chunk, 2 or 3.
        narrower, smaller: divide channels, and height and width, for a trial or a CPU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    dtypes: tuple[Dtype, ...] = ("fp16",)
    runs: int = Field(default=7, ge=1)
    compiled: bool = False
    latent_frames: Literal[2, 3] = 2
    device: Literal["cuda", "cpu"] = "cuda"
    narrower: Literal[1, 2, 4, 8] = 1
    smaller: int = Field(default=1, ge=1, le=30)
    seed: int = Field(default=0, ge=0)


def measure_rewrites(request: RewritesRequest) -> dict[str, Any]:
    """Measure a request.

    Returns:
        ``rows``: for each place, form and dtype the milliseconds (least, median, most), the operations of matrix products and convolutions
        in GFLOP, and the relative L2 to the traced layer, 0 where every bit is the same; or ``problem``. ``failures``: problem by form.

    Raises:
        InputError: the file cannot be written.
        BackendError: there is no CUDA device.
    """
    if request.device == "cuda" and not torch.cuda.is_available():
        raise BackendError("torch sees no CUDA device", 'measure on "cpu", or on a machine with a GPU')
    about = {"torch": torch.__version__, "cuda": torch.version.cuda, "request": request.model_dump(mode="json")}
    if request.device == "cuda":
        about["device"] = torch.cuda.get_device_name()
    torch.backends.cudnn.benchmark = True
    rows: list[dict[str, Any]] = []
    with torch.no_grad():
        for dtype in request.dtypes:
            draw = Draw(request.device, request.seed)
            for place in places(DTYPES[dtype], draw, request.narrower, request.smaller, request.latent_frames):
                rows += [{"dtype": dtype, **row} for row in _measured(place, request)]
                _write(request.out, {**about, "rows": rows})
                torch._dynamo.reset()
                if request.device == "cuda":
                    torch.cuda.empty_cache()
    failures = {f"{row['place']} {row['form']}": row["problem"] for row in rows if "problem" in row}
    return {"rows": rows, "failures": failures, "out": str(request.out)}


def _measured(place: Place, request: RewritesRequest) -> list[dict[str, Any]]:
    runs: dict[str, Callable[..., Tensor]] = dict(place.forms)
    if request.compiled:
        runs |= {f"{name}, compiled": torch.compile(form, dynamic=False) for name, form in place.forms.items()}
    rows: dict[str, dict[str, Any]] = {name: {"place": place.name, "form": name} for name in runs}
    wanted = place.forms["traced"](*place.inputs).float()
    size = torch.linalg.vector_norm(wanted, dtype=torch.float64).item()
    for name, run in list(runs.items()):
        try:
            gap = torch.linalg.vector_norm(run(*place.inputs).float() - wanted, dtype=torch.float64).item()
            rows[name]["relative_l2"] = gap / size
            if name in place.forms:
                with FlopCounterMode(display=False) as counter:
                    run(*place.inputs)
                rows[name]["gflop"] = round(counter.get_total_flops() / 1e9, 6)
        except Exception as error:  # whatever a form dies of, the others are measured
            rows[name]["problem"] = f"{type(error).__name__}: {(str(error).strip() or 'no words').splitlines()[0]}"
            del runs[name]
    del wanted
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-2, request.runs):
        for name, run in runs.items():
            took = _timed(run, place.inputs, request.device == "cuda")
            if turn >= 0:
                times[name].append(took)
    for name, found in times.items():
        rows[name] |= {"ms_min": min(found), "ms_p50": median(found), "ms_max": max(found)}
    return list(rows.values())


def _timed(run: Callable[..., Tensor], inputs: tuple[Tensor, ...], cuda: bool) -> float:
    """Milliseconds: between two events, or of the processor."""
    if not cuda:
        started = time.process_time()
        run(*inputs)
        return (time.process_time() - started) * 1e3
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    run(*inputs)
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end))


def _write(path: Path, found: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
