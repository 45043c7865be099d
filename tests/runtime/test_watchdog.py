"""The watchdog: a backend that never finishes is reported, whoever waits for it and however."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.scenes import scene
from tests.support.slow_backend import GatedBackend, pipeline_over
from videoscene_rt import Hang, InputError, Ladder, Pipeline
from videoscene_rt.watchdog import Watchdog

LIMIT = 0.2


@pytest.fixture
def hangs() -> list[Hang]:
    return []


@pytest.fixture
def watched(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch, hangs: list[Hang]
) -> Iterator[tuple[Pipeline, GatedBackend]]:
    backend, watchdog = GatedBackend(), Watchdog(LIMIT, hangs.append)
    with pipeline_over(backend, small_bundle, monkeypatch, Ladder(grace_ms=5000.0), watchdog) as pipeline:
        yield pipeline, backend
        for gate in backend.gates.values():
            gate.open()


def wait_for(something: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not something():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_step_that_never_ends_is_reported_while_its_caller_waits(
    watched: tuple[Pipeline, GatedBackend], hangs: list[Hang], caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, backend = watched
    for number in range(3):
        assert pipeline.step(scene()).step.number == number
    backend.gates["student"].shut()
    caller = threading.Thread(target=pipeline.step, args=(scene(),))
    caller.start()
    wait_for(lambda: hangs)
    assert caller.is_alive()
    (hang,) = hangs
    assert (hang.step, hang.device) == (3, "cpu")
    assert LIMIT <= hang.seconds < LIMIT + 2
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.message == str(hang)
    assert "step 3 has not ended for 0.2" in record.message
    assert pipeline.counters.hangs == 1
    time.sleep(2 * LIMIT)
    assert len(hangs) == 1, "once"
    backend.gates["student"].open()
    caller.join(10)
    assert pipeline.step(scene()).status == "ok"
    assert "step 3 has ended after" in caplog.text


def test_with_a_deadline_the_caller_has_gone_on_and_it_is_reported_all_the_same(
    watched: tuple[Pipeline, GatedBackend], hangs: list[Hang]
) -> None:
    pipeline, backend = watched
    backend.gates["student"].shut()
    assert pipeline.step(scene(), deadline=0.02).status == "late"
    while not hangs:
        assert pipeline.step(scene(), deadline=0.02).step.rung == "coarse"
    assert hangs[0].step == 0


def test_a_submitted_step_is_watched(watched: tuple[Pipeline, GatedBackend], hangs: list[Hang]) -> None:
    pipeline, backend = watched
    backend.gates["renderer"].shut()
    handle = pipeline.submit(scene())
    wait_for(lambda: hangs)
    backend.gates["renderer"].open()
    handle.result()
    handle.release()


def test_steps_that_end_are_not_reported(watched: tuple[Pipeline, GatedBackend], hangs: list[Hang]) -> None:
    pipeline, _ = watched
    end = time.monotonic() + 4 * LIMIT
    while time.monotonic() < end:
        pipeline.step(scene())
        pipeline.submit(scene()).release()
        pipeline.step(scene(), deadline=5.0)
    assert hangs == []


def test_a_callback_that_fails_stops_nothing(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(hang: Hang) -> None:
        raise RuntimeError("the horn is broken")

    backend, watchdog = GatedBackend(), Watchdog(0.05, failing)
    with pipeline_over(backend, small_bundle, monkeypatch, None, watchdog) as pipeline:
        for number in (1, 2):
            backend.gates["student"].shut()
            handle = pipeline.submit(scene())
            wait_for(lambda number=number: watchdog.hangs == number)
            backend.gates["student"].open()
            handle.result()
            handle.release()


def test_its_thread_ends_with_the_pipeline(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())
    watchdog = Watchdog(60.0)
    with pipeline_over(GatedBackend(), small_bundle, monkeypatch, None, watchdog) as pipeline:
        pipeline.step(scene())
        (its,) = set(threading.enumerate()) - before
    wait_for(lambda: not its.is_alive())


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), "1", True])
def test_a_limit_that_is_none_is_refused(tmp_path: Path, limit: Any) -> None:
    with pytest.raises(InputError, match="hang_s must be seconds above 0"):
        Pipeline.load(tmp_path / "no bundle", hang_s=limit)


HANGING = """
import sys
from pathlib import Path
import pytest
from tests.support.scenes import scene
from tests.support.slow_backend import GatedBackend, pipeline_over
from videoscene_rt import Ladder, worker
from videoscene_rt.watchdog import Watchdog
worker._PATIENCE_S = 0.5
backend = GatedBackend()
pipeline = pipeline_over(backend, Path(sys.argv[1]), pytest.MonkeyPatch(), Ladder(), Watchdog(0.1))
for gate in backend.gates.values():
    gate.shut()
try:
    pipeline.step(scene(), deadline=0.05)
except Exception as error:
    print(error.problem)
pipeline.submit(scene())
"""


def test_a_step_that_hangs_does_not_keep_the_process_from_ending(small_bundle: Path) -> None:
    words = [sys.executable, "-c", HANGING, str(small_bundle)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert "not even the coarse frames" in done.stdout


class Run:
    done = False


class Device:
    name = "a device"

    def use(self) -> None:
        """There is no other."""


def test_what_a_step_ran_on_is_let_go_when_it_ends() -> None:
    """Though the thread looks at it once in an hour alone."""
    watchdog, device = Watchdog(3600.0), Device()
    watched, gone = watchdog.watch((1, 0), 0, device), weakref.ref(device)
    watched.run = Run()
    watched.end()
    del device
    assert gone() is None
    watchdog.close()


def test_steps_of_a_swapped_out_bundle_hold_it_until_they_end_and_no_longer() -> None:
    """Late ones, and submitted ones whose result nobody took, end without telling."""
    watchdog, old, new = Watchdog(3600.0), Device(), Device()
    runs = Run(), Run()
    for slot, run in enumerate(runs):
        watchdog.watch((1, slot), slot, old).run = run
    gone = weakref.ref(old)
    del old
    runs[0].done = True
    watchdog.watch((2, 0), 2, new)
    assert gone() is not None, "one still runs, and is watched"
    assert set(watchdog._watched) == {(1, 1), (2, 0)}
    runs[1].done = True
    watchdog.watch((2, 1), 3, new)
    assert gone() is None
    assert set(watchdog._watched) == {(2, 0), (2, 1)}
    watchdog.close()


def test_what_still_runs_is_held_though_nobody_is_left_and_then_the_thread_ends() -> None:
    watchdog, device, run = Watchdog(3600.0), Device(), Run()
    before = set(threading.enumerate())
    watchdog.watch((1, 0), 0, device).run = run
    gone = weakref.ref(device)
    del device
    watchdog.leave()
    time.sleep(0.05)
    assert gone() is not None
    run.done = True
    wait_for(lambda: gone() is None)
    wait_for(lambda: set(threading.enumerate()) <= before)
