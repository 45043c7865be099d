"""What is counted adds up: every step once, as what it was."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.scenes import scene
from tests.support.slow_backend import LATE, PATIENT_MS, SOON, GatedBackend, pipeline_over
from videoscene_rt import BackendError, Ladder, Pipeline
from videoscene_rt.handle import Handle


def ask(handle: Handle, found: list[object]) -> None:
    found.append(handle.result())


@pytest.mark.parametrize("deadline", [None, LATE])
def test_a_step_that_fails_is_counted_with_a_deadline_and_without(
    backend: GatedBackend, small_bundle: Path, monkeypatch: pytest.MonkeyPatch, deadline: float | None
) -> None:
    with pipeline_over(backend, small_bundle, monkeypatch, Ladder()) as pipeline:
        pipeline.step(scene(), deadline=deadline)
        backend.gates["student"].fails = BackendError("the student fell over")
        with pytest.raises(BackendError, match="fell over"):
            pipeline.step(scene(), deadline=deadline)
        counters = pipeline.counters
        assert (counters.ok, counters.failed) == (1, 1)
        assert sum(counters.rungs.values()) == 2


def test_only_refinements_are_dropped(
    backend: GatedBackend, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipeline_over(backend, small_bundle, monkeypatch, Ladder(rungs=("coarse",), grace_ms=PATIENT_MS)) as pipeline:
        for _ in range(3):
            assert pipeline.step(scene(), deadline=0).status == "late"
        assert pipeline.step(scene(), deadline=LATE).status == "degraded"
        assert (pipeline.counters.late, pipeline.counters.dropped) == (3, 0)


def test_a_late_step_is_dropped_though_the_pipeline_is_closed_before_it_ends(
    backend: GatedBackend, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = pipeline_over(backend, small_bundle, monkeypatch, Ladder(grace_ms=PATIENT_MS))
    backend.gates["student"].shut()
    assert pipeline.step(scene(), deadline=SOON).status == "late"
    threading.Timer(0.1, backend.gates["student"].open).start()
    pipeline.close()
    assert (pipeline.counters.late, pipeline.counters.dropped) == (1, 1)


def test_reloading_does_not_begin_anew(small_bundle: Path) -> None:
    ladder = Ladder(up_after=1_000, grace_ms=PATIENT_MS)
    with Pipeline.load(small_bundle, ladder=ladder) as pipeline:
        assert pipeline.step(scene(), deadline=LATE).status == "ok"
        while pipeline.counters.downs == 0:
            pipeline.step(scene(), deadline=0)
        before = pipeline.counters
        pipeline.reload(small_bundle)
        after = pipeline.counters
        assert (after.downs, after.ups, after.late) == (before.downs, before.ups, before.late)
        assert after.rung == "tiny", "what was measured does begin anew"


def test_a_result_is_counted_once_whoever_asks_for_it(
    backend: GatedBackend, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interval = sys.getswitchinterval()
    with pipeline_over(backend, small_bundle, monkeypatch) as pipeline:
        sys.setswitchinterval(1e-6)
        try:
            for _ in range(20):
                backend.gates["student"].shut()
                with pipeline.submit(scene()) as handle:
                    found: list[object] = []
                    threads = [threading.Thread(target=ask, args=(handle, found)) for _ in range(4)]
                    for thread in threads:
                        thread.start()
                    time.sleep(0.005)
                    backend.gates["student"].open()
                    for thread in threads:
                        thread.join(30)
                assert len(found) == 4
                assert len(set(map(id, found))) == 1
        finally:
            sys.setswitchinterval(interval)
        assert pipeline.counters.ok == 20
