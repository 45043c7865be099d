"""The baselines of a measurement, each in turns with a pipeline that is loaded for it when everything else has been measured."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import IO, Any, Literal

from videoscene_rt import Pipeline
from videoscene_rt.bench.baselines.facts import BaselineFacts
from videoscene_rt.bench.baselines.request import BaselineRequest, Name
from videoscene_rt.bench.baselines.turns import in_turns
from videoscene_rt.bench.chain_pipeline import fill
from videoscene_rt.bench.step.found import Found
from videoscene_rt.bench.step.parts import Parts, words
from videoscene_rt.bench.step.request import BenchRequest
from videoscene_rt.engines.platform import KINDS
from videoscene_rt.scenes.scene import Scene


def baselines(request: BenchRequest, load: Callable[[], Pipeline], scene: Scene, found: Found, parts: Parts) -> None:
    """Run the baselines that were asked for, a part each.

    One that was asked for by name and does not run is a failure; of "all", those that there are run.

    Args:
        request: which. load: gives the pipeline. scene: what was measured.
        found: takes a baseline's facts as soon as they are there. parts: of the measurement.
    """
    found.facts["baselines"] = ()
    opened: list[Any] = []

    def pipeline() -> Any:
        if not opened:
            opened.append(load())
            fill(opened[0], scene)
        return opened[0]

    def take(one: BaselineFacts, log: str = "") -> None:
        found.facts["baselines"] = (*found.facts["baselines"], one)
        if one.failure:
            found.notes.append(f"no baseline {one.name}: {one.failure}")
            if not request.whatever_runs:
                parts.failed(f"baseline {one.name}", one.failure, log)

    def run(name: Name) -> None:
        told = _told(request, name)
        try:
            ours = pipeline()
        except Exception as error:
            take(BaselineFacts(name=name, precision=request.precision, failure=words(error)))
            raise
        with tempfile.TemporaryFile() as log:
            try:
                facts = in_turns(
                    told, request.baseline_python, ours.chain.run, patience_s=request.baseline_limit_s, log=log
                )
            except (KeyboardInterrupt, SystemExit):
                parts.traces[f"baseline {name}"] = _read(log)
                raise
            take(facts, _read(log))

    try:
        for name in request.baselines:
            parts.run(f"baseline {name}", lambda name=name: run(name))  # type: ignore[misc]
    finally:
        for each in opened:
            each.close()


def _told(request: BenchRequest, name: Name) -> BaselineRequest:
    device: Literal["cuda", "cpu"] = "cuda" if KINDS[request.backend].device == "cuda" else "cpu"
    return BaselineRequest(
        name=name, bundle=request.bundle.resolve(), scenes=tuple(path.resolve() for path in request.scenes), seed=request.seed,
        threads=request.threads, precision=request.precision, device=device, checkpoint=request.checkpoint,
        kernels=None if request.kernels is None else request.kernels.resolve(),
    )  # fmt: skip


def _read(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")
