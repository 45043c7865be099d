"""Slots come back: from streams that nobody closed, on whatever thread that is noticed, and whoever waits for one is told of the end."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.scenes import scene
from tests.support.slow_backend import GatedBackend, pipeline_over
from videoscene_rt import InputError, Ladder, Pipeline
from videoscene_rt.result import Result
from videoscene_rt.stream_runs import _Aside


def ended(call: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What a call gives, or raises, on a thread of its own; that it ends is the test's business."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it waits for ever"
    return found[0]


def test_a_stream_that_its_own_thread_finds_to_be_garbage_gives_its_slot_back(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's collector runs on any thread: here on the one that computes that stream's frames."""
    collected = threading.Event()
    tell = _Aside._part

    def collect_and_tell(aside: _Aside, number: int) -> bool:
        gc.collect()
        collected.set()
        return tell(aside, number)

    with Pipeline.load(small_bundle, threads=1) as pipeline:
        expected = pipeline.step(scene(seed=1)).copy().frames
        gc.disable()
        try:
            with monkeypatch.context() as patched:
                patched.setattr(_Aside, "_part", collect_and_tell)
                circle: list[Any] = [pipeline.stream(scene())]
                circle.append(circle)
                del circle
                assert collected.wait(30)
            for _ in range(3):
                assert np.array_equal(ended(lambda: pipeline.step(scene(seed=1)).copy()).frames, expected)
        finally:
            gc.enable()


def test_a_handle_is_given_back_at_once_and_its_slot_when_the_step_has_ended(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = GatedBackend()
    with pipeline_over(backend, small_bundle, monkeypatch) as pipeline:
        expected = [pipeline.step(scene(seed=seed)).copy().frames for seed in range(3)]
        backend.gates["student"].shut()
        for seed in (0, 1):
            pipeline.submit(scene(seed=seed)).release()
        time.sleep(0.05)
        with pytest.raises(Exception, match="every slot is held"):
            pipeline.submit(scene(seed=2), timeout=0)
        threading.Timer(0.1, backend.gates["student"].open).start()
        with pipeline.submit(scene(seed=2)) as handle:
            assert np.array_equal(handle.result().frames, expected[2])


@pytest.mark.parametrize("how", ["close", "reload"])
def test_who_waits_for_a_slot_is_told_that_there_will_be_none_or_gets_the_new_bundles(
    small_bundle: Path, how: str
) -> None:
    pipeline = Pipeline.load(small_bundle, threads=1)
    held = [pipeline.submit(scene(seed=seed)) for seed in (1, 2)]
    kept = [handle.result().copy().frames for handle in held]
    found: list[Any] = []

    def wait_for_one() -> None:
        try:
            with pipeline.submit(scene(seed=1), timeout=None) as handle:
                found.append((handle.result().step.reloads, handle.result().copy().frames))
        except InputError as error:
            found.append(error)

    waiting = threading.Thread(target=wait_for_one, daemon=True)
    waiting.start()
    time.sleep(0.1)
    pipeline.close() if how == "close" else pipeline.reload(small_bundle)
    waiting.join(30)
    assert found
    if how == "close":
        assert "the pipeline is closed" in str(found[0])
    else:
        assert found[0][0] == 1
        assert np.array_equal(found[0][1], kept[0])
        assert np.array_equal(held[1].result().frames, kept[1])
    for handle in held:
        handle.release()
    pipeline.close()


def test_a_copy_that_another_threads_step_came_between_is_none(small_bundle: Path) -> None:
    """Between the look whether it is valid and its last byte; the other step is put exactly there."""
    with Pipeline.load(small_bundle, slots=1, threads=1) as pipeline:
        result = pipeline.step(scene(seed=1))

        class Overwritten:
            def copy(self) -> Any:
                pipeline.step(scene(seed=2))
                return result._arrays["coarse"].copy()

        torn = Result(result.step, {"frames": Overwritten(), "coarse": result._arrays["coarse"]}, result._stale)
        with pytest.raises(InputError, match="given back for a later step"):
            torn.copy()


def test_a_pipeline_that_nobody_closed_leaves_no_thread(small_bundle: Path) -> None:
    before = set(threading.enumerate())
    pipeline = Pipeline.load(small_bundle, ladder=Ladder(), threads=1)
    pipeline.step(scene(), deadline=30.0)
    pipeline.submit(scene()).result()
    its = set(threading.enumerate()) - before
    assert len(its) == 3, "one renders, one refines, one watches"
    del pipeline
    gc.collect()
    for thread in its:
        thread.join(10)
        assert not thread.is_alive(), thread.name
