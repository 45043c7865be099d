"""The stages one by one: on one stream, whatever streams the step has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.scenes import scene
from tests.support.simulated_device import HashBackend, SimulatedDevice, SimulatedStream
from tests.support.slow_backend import pipeline_over
from videoscene_rt.bench.step import stages
from videoscene_rt.bench.step.stages import stage_facts
from videoscene_rt.chain.program import Program


def test_no_stage_runs_beside_another(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on: dict[str, set[int]] = {}
    enqueue = Program.enqueue

    def watched(program: Program, around: Any = None) -> Any:
        if around is None:
            return enqueue(program)

        def noting(placed: Any, work: Any) -> None:
            before = {id(stream): len(stream.queue) for stream in device._things.values() if _is_stream(stream)}
            around(placed, work)
            grown = {id(s) for s in device._things.values() if _is_stream(s) and len(s.queue) > before.get(id(s), 0)}
            on.setdefault(placed.stage, set()).update(grown)

        return enqueue(program, noting)

    monkeypatch.setattr(Program, "enqueue", watched)
    monkeypatch.setattr(stages, "fill", lambda pipeline, given: pipeline.step(given))
    device = SimulatedDevice(0)
    backend = HashBackend(device, {})

    def load() -> Any:
        return pipeline_over(backend, small_bundle, monkeypatch, capture=False)

    with load() as pipeline:
        assert len({placed.lane for placed in pipeline.schedule.placed}) == 2, "the step itself has two streams"
        names = [placed.stage for placed in pipeline.schedule.placed]
    found = stage_facts(load, scene(), None, 5.0, captured=True)
    assert [span.stage for span in found.uncaptured] == names
    assert {span.lane for span in found.uncaptured} == {0}
    assert len(set().union(*(on[name] for name in names))) == 1, "all on one stream"


def _is_stream(thing: Any) -> bool:
    return isinstance(thing, SimulatedStream)
