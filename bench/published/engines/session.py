"""A request of the engines' half from beginning to end: what fails is a line, and what was made or measured stays."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

from videoscene_rt.bench.published.alarm import TimeIsUp, within
from videoscene_rt.bench.published.engines.handed import STAGE_FILE, Handed
from videoscene_rt.bench.published.engines.item import Item, Runtime
from videoscene_rt.bench.published.engines.making import Made, Way, find_made, make_engine, refusal
from videoscene_rt.bench.published.engines.measuring import measure_item
from videoscene_rt.bench.published.engines.request import EnginesRequest
from videoscene_rt.bench.published.finding import Finding
from videoscene_rt.bench.published.summary import earlier, summarised, write_summary
from videoscene_rt.engines.errors import BackendError, InputError, VsrtError

_PAUSE_S = 0.5


class Engines:
    """One request: makes what is missing, then measures what is there.

    Args:
        request: what.
    """

    def __init__(self, request: EnginesRequest) -> None:
        self._request = request
        self._end = time.monotonic() + request.limit_s
        self.failures: dict[str, str] = {}
        self.made: dict[str, float] = {}
        self.records: dict[str, str] = {}

    def make(self, item: Item, runtime: Runtime) -> None:
        """Every engine of an item; one that is refused is noted, and the others are made."""
        folder, way = self._request.folder / item.name, self._way(runtime)
        try:
            with within(self._left()):
                handed = self._handed(folder)
                for graph in handed.graphs:
                    if self._request.again or refusal(folder, way, graph) is None:
                        made = make_engine(folder, handed, graph, way)
                        self.made[f"{item.name} {way.name} {graph}"] = made.seconds
        except (Exception, TimeIsUp) as error:  # whatever one dies of, the others are made
            self.failures[f"make {item.name} {runtime}"] = said(error)

    def measure(self, item: Item, runtime: Runtime) -> None:
        """An item, if all of its engines are there. The summary is written anew."""
        folder, way = self._request.folder / item.name, self._way(runtime)
        try:
            handed = Handed.read(folder)
        except InputError as error:
            self.failures[f"measure {item.name} {runtime}"] = error.problem
            return
        before = earlier(self._request.out, handed.preset)
        rates = handed.rates if before is None else before.rates
        try:
            with within(self._left()):
                made = {name: _ready(folder, way, name) for name in handed.graphs}
                finding = measure_item(folder, handed, made, way, self._request, rates, self._left())
            self.records[f"{item.name} {runtime}"] = str(self._request.out / str(finding.record))
        except (Exception, TimeIsUp) as error:  # as above
            problem = said(error)
            self.failures[f"measure {item.name} {runtime}"] = problem
            finding = Finding(
                stage=item.stage, mode=item.mode(runtime), dtype="fp16", blocks=item.blocks, problem=problem
            )
        gc.collect()
        versions = {**({} if before is None else before.versions), **handed.versions}
        write_summary(self._request.out, summarised(handed.preset, rates, versions, [finding], [], before))

    def _way(self, runtime: Runtime) -> Way:
        if runtime == "onnxruntime-cuda":
            return Way(runtime, None, rewrites=self._request.rewrites)
        asked = self._request
        package = "tensorrt" if asked.device == "cuda" else "tensorrt_rtx"
        return Way(runtime, package, asked.level, asked.workspace_mib, asked.plugin, asked.rewrites)  # type: ignore[arg-type]  # one of the two

    def _handed(self, folder: Path) -> Handed:
        """What torch's half wrote, or will have written in time."""
        end = time.monotonic() + self._request.wait_s
        while not (folder / STAGE_FILE).exists() and time.monotonic() < end:
            time.sleep(_PAUSE_S)
        return Handed.read(folder)

    def _left(self) -> float:
        seconds = min(self._request.cell_s, self._end - time.monotonic())
        if seconds < 1.0:
            raise TimeIsUp("not begun: the time of the request was over")
        return seconds


def run_engines(request: EnginesRequest) -> dict[str, Any]:
    """Make and measure the items of a request.

    Returns:
        ``made``: seconds by engine; ``records``: file by item and runtime; ``failures``: problem by what failed; ``summary``.

    Raises:
        InputError: the folder of records cannot be made.
    """
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{request.out} cannot be made: {error.strerror}") from error
    engines = Engines(request)
    for what in ("make", "measure"):
        if what in request.do:
            for runtime in request.runtimes:
                for item in request.items:
                    (engines.make if what == "make" else engines.measure)(item, runtime)
    summary = str(request.out / "summary.md")
    return {"made": engines.made, "records": engines.records, "failures": engines.failures, "summary": summary}


def said(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, VsrtError):
        return " ".join(error.problem.split())
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _ready(folder: Path, way: Way, graph: str) -> Made:
    made = find_made(folder, way, graph)
    if made is None:
        raise BackendError(f"{graph}: {refusal(folder, way, graph) or 'no engine of it was made'}", "make it first")
    return made
