"""A deadline holds whatever other threads do with the pipeline, and a result is as old as its call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.scenes import scene
from tests.support.slow_backend import LATE, SOON, GatedBackend, pipeline_over
from videoscene_rt import BackendError, Ladder, Pipeline

GRACE = 1.0
PATIENCE = 10.0
"""What would wait for a gate waits for a minute; a busy machine may take some seconds longer than an idle one."""


@pytest.fixture
def pipeline(backend: GatedBackend, small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    ladder = Ladder(down_after=10_000, grace_ms=GRACE * 1e3)
    with pipeline_over(backend, small_bundle, monkeypatch, ladder) as pipeline:
        pipeline.step(scene())
        yield pipeline
        for gate in backend.gates.values():
            gate.open()


def beside(call: Callable[[], Any], backend: GatedBackend) -> threading.Thread:
    """A call on a thread of its own, which has got as far as to the student's gate."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert backend.gates["student"].entered.wait(10)
    return thread


@pytest.mark.parametrize("call", ["tensor", "seed"])
def test_whoever_waits_for_a_late_step_does_not_make_it_later(
    pipeline: Pipeline, backend: GatedBackend, call: str
) -> None:
    """The other call comes while the step is under way, and waits for its refinement."""
    backend.gates["student"].shut()

    def wait_for_it() -> None:
        assert backend.gates["student"].entered.wait(10)
        pipeline.tensor("z_0") if call == "tensor" else pipeline.submit(scene(), seed=5).release()

    other = threading.Thread(target=wait_for_it)
    other.start()
    begin = time.monotonic()
    result = pipeline.step(scene(), deadline=2 * SOON)
    assert time.monotonic() - begin < 2 * SOON + PATIENCE
    assert result.status == "late"
    assert other.is_alive()
    backend.gates["student"].open()
    other.join(30)


def test_beside_another_threads_step_there_is_an_error_in_time_and_then_it_works(
    pipeline: Pipeline, backend: GatedBackend
) -> None:
    backend.gates["student"].shut()
    other = beside(lambda: pipeline.step(scene()), backend)
    begin = time.monotonic()
    with pytest.raises(BackendError, match="after the deadline not even the coarse frames were there") as caught:
        pipeline.step(scene(), deadline=SOON)
    assert SOON + GRACE <= time.monotonic() - begin < SOON + GRACE + PATIENCE
    assert "another call held the pipeline" in (caught.value.remedy or "")
    backend.gates["student"].open()
    other.join(30)
    assert pipeline.step(scene(), deadline=LATE).status == "ok"


def test_a_step_that_waited_for_others_is_as_old_as_its_call(pipeline: Pipeline, backend: GatedBackend) -> None:
    backend.gates["student"].shut()
    other = beside(lambda: pipeline.step(scene()), backend)
    opened: list[int] = []

    def let_go() -> None:
        opened.append(time.monotonic_ns())
        backend.gates["student"].open()

    threading.Timer(1.0, let_go).start()
    before = time.monotonic_ns()
    result = pipeline.step(scene())
    assert before <= result.step.started_ns < opened[0] <= result.step.finished_ns
    assert result.timestamp_ns == result.step.started_ns
    assert result.step.duration_ms >= (opened[0] - result.step.started_ns) / 1e6
    other.join(30)


def test_what_ended_after_the_deadline_is_late_though_nobody_had_looked_before(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the caller's thread is held up: by the collector, by other threads, by the system."""
    expected = pipeline.step(scene(seed=1)).copy()
    assert pipeline.step(scene(seed=1), deadline=LATE).status == "ok"
    launch = type(pipeline._in_use.stepper)._launch

    def held_up(*arguments: Any) -> Any:
        run = launch(*arguments)
        run.wait(None)
        time.sleep(SOON)
        return run

    monkeypatch.setattr(type(pipeline._in_use.stepper), "_launch", held_up)
    result = pipeline.step(scene(seed=1), deadline=SOON)
    assert result.step.duration_ms > SOON * 1e3
    assert (result.status, result.step.rung, result.timestep) == ("late", "coarse", -1)
    assert np.array_equal(result.frames, expected.coarse)
