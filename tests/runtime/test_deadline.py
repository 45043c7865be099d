"""Steps with a deadline: what the caller gets when the refinement is in time, late, skipped, failed; on the host and on a device."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.scenes import scene
from tests.support.simulated_device import HashBackend
from tests.support.slow_backend import LATE, PATIENT_MS, SOON, GatedBackend, WorkingDevice, pipeline_over
from videoscene_rt import BackendError, InputError, Ladder, Pipeline, Result
from videoscene_rt.split_run import Deadline

GRACE = 2.0


@pytest.fixture
def pipeline(backend: GatedBackend, small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    ladder = Ladder(down_after=10_000, grace_ms=GRACE * 1e3)  # always the best rung, whatever it took before
    with pipeline_over(backend, small_bundle, monkeypatch, ladder) as pipeline:
        yield pipeline
        for gate in backend.gates.values():
            gate.open()


def test_a_step_in_time_is_the_step_without_a_deadline(pipeline: Pipeline) -> None:
    expected = pipeline.step(scene(seed=3)).copy()
    result = pipeline.step(scene(seed=3, timestamp_ns=77), deadline=LATE)
    assert (result.status, result.step.rung, result.step.reason) == ("ok", "tiny", "")
    for name in ("frames", "coarse", "depth", "hole_mask"):
        assert np.array_equal(getattr(result, name), getattr(expected, name)), name
    assert not np.array_equal(result.frames, result.coarse)
    assert result.timestep == expected.timestep
    assert result.timestamp_ns == 77
    assert 0 < result.step.duration_ms <= result.age_ms


def test_at_the_deadline_the_coarse_frames_are_there(pipeline: Pipeline, backend: GatedBackend) -> None:
    expected = pipeline.step(scene(seed=4)).copy()
    backend.gates["student"].shut()
    begin = time.monotonic()
    result = pipeline.step(scene(seed=4), deadline=SOON)
    took = time.monotonic() - begin
    assert SOON <= took < SOON + 0.5
    assert (result.status, result.step.rung, result.timestep) == ("late", "coarse", -1)
    assert "rung tiny had not ended" in result.step.reason
    assert np.array_equal(result.frames, expected.coarse)
    assert np.array_equal(result.depth, expected.depth)
    kept = result.copy()
    assert np.array_equal(kept.frames, expected.coarse)
    assert result.timestamp_ns == result.step.started_ns


def test_a_late_refinement_is_dropped_and_the_steps_meanwhile_are_rendered(
    pipeline: Pipeline, backend: GatedBackend
) -> None:
    expected = [pipeline.step(scene(seed=seed)).copy() for seed in range(6)]
    backend.gates["student"].shut()
    assert pipeline.step(scene(seed=0), deadline=SOON).status == "late"
    for seed in (1, 2, 3):  # the other slot serves them, one after the other
        begin = time.monotonic()
        result = pipeline.step(scene(seed=seed), deadline=LATE)
        assert time.monotonic() - begin < 1
        assert (result.status, result.step.rung) == ("degraded", "coarse")
        assert np.array_equal(result.frames, expected[seed].coarse)
    assert (pipeline.counters.busy, pipeline.counters.dropped) == (3, 0)
    backend.gates["student"].open()
    while pipeline.counters.dropped == 0:
        pipeline.step(scene(seed=4), deadline=LATE)
    result = pipeline.step(scene(seed=5), deadline=LATE)
    assert result.status == "ok"
    assert np.array_equal(result.frames, expected[5].frames), "never the late one's"
    assert pipeline.counters.late == 1 == pipeline.counters.dropped


def test_a_plain_step_after_a_late_one_waits_for_it_and_is_right(pipeline: Pipeline, backend: GatedBackend) -> None:
    expected = pipeline.step(scene(seed=1)).copy()
    backend.gates["student"].shut()
    assert pipeline.step(scene(seed=0), deadline=SOON).status == "late"
    threading.Timer(0.2, backend.gates["student"].open).start()
    assert np.array_equal(pipeline.step(scene(seed=1)).frames, expected.frames)
    with pipeline.submit(scene(seed=1)) as handle:
        assert np.array_equal(handle.result().frames, expected.frames)


def test_a_deadline_of_nothing_gives_the_coarse_frames_as_soon_as_they_are_there(
    backend: GatedBackend, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipeline_over(backend, small_bundle, monkeypatch, Ladder(grace_ms=PATIENT_MS)) as pipeline:
        expected = pipeline.step(scene()).copy().coarse
        for _ in range(20):  # while the first refinement still runs, nothing is decided
            result = pipeline.step(scene(), deadline=0)
            assert result.status == "late"
            assert np.array_equal(result.frames, expected)
        assert pipeline.counters.rung == "coarse"
        assert pipeline.counters.downs == 1


def test_where_nothing_is_rendered_the_call_comes_back_with_an_error(pipeline: Pipeline, backend: GatedBackend) -> None:
    pipeline.step(scene(), deadline=LATE)
    backend.gates["renderer"].shut()
    begin = time.monotonic()
    with pytest.raises(BackendError, match="after the deadline not even the coarse frames were there"):
        pipeline.step(scene(), deadline=SOON)
    assert time.monotonic() - begin < SOON + GRACE + 0.5
    with pytest.raises(BackendError, match="not even the coarse frames"):
        pipeline.step(scene(), deadline=SOON)
    with pytest.raises(BackendError, match="some by steps that came too late and still run"):
        pipeline.step(scene(), deadline=SOON)
    assert pipeline.counters.failed == 2
    backend.gates["renderer"].open()
    assert pipeline.step(scene()).status == "ok"
    assert pipeline.step(scene(), deadline=LATE).status == "ok"


def test_a_graph_that_fails_raises_and_the_next_step_works(pipeline: Pipeline, backend: GatedBackend) -> None:
    backend.gates["student"].fails = BackendError("the student fell over")
    with pytest.raises(BackendError, match="fell over"):
        pipeline.step(scene(), deadline=LATE)
    assert pipeline.counters.failed == 1
    for _ in range(3):
        assert pipeline.step(scene(), deadline=LATE).status == "ok"


def test_the_rung_is_chosen_before_the_launch_from_what_it_took(
    backend: GatedBackend, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder = Ladder(up_after=3, forget_after=5, grace_ms=PATIENT_MS)
    with pipeline_over(backend, small_bundle, monkeypatch, ladder) as pipeline:
        backend.gates["student"].shut()
        assert pipeline.step(scene(), deadline=SOON).status == "late"
        backend.gates["student"].open()
        assert backend.gates["student"].entered.wait(10)
        time.sleep(0.1)
        backend.gates["student"].entered.clear()
        statuses = []
        for _ in range(9):
            statuses.append(pipeline.step(scene(), deadline=SOON).status)
            if statuses[-1] == "degraded":
                assert not backend.gates["student"].entered.is_set(), "it was launched although it does not fit"
        assert statuses[:5] == ["degraded"] * 5
        assert statuses[-1] == "ok", "not measured for so long, it was tried again"
        counters = pipeline.counters
        assert (counters.downs, counters.ups, counters.rung) == (1, 1, "tiny")
        assert counters.ok + counters.degraded + counters.late == 10
        assert counters.rungs == {"tiny": 1 + statuses.count("ok"), "coarse": statuses.count("degraded")}


def test_a_result_that_is_not_finite_gives_the_coarse_frames(pipeline: Pipeline, backend: GatedBackend) -> None:
    good = pipeline.step(scene()).copy()
    backend.poison = True
    for result in (pipeline.step(scene()).copy(), pipeline.step(scene(), deadline=LATE).copy()):
        assert (result.status, result.step.rung) == ("invalid", "coarse")
        assert result.step.reason == "z_0: 1 value is not finite; the frames are the coarse ones"
        assert np.array_equal(result.frames, good.coarse)
    with pipeline.submit(scene()) as handle:
        assert np.array_equal(handle.result().frames, good.coarse)
    backend.poison = False
    assert pipeline.step(scene(), deadline=LATE).status == "ok"
    assert pipeline.counters.invalid == 3


def test_what_is_asked_wrongly_is_named(small_bundle: Path, pipeline: Pipeline) -> None:
    for wrong in (-1, float("nan"), float("inf"), "1", True):
        with pytest.raises(InputError, match="deadline must be seconds from the call"):
            pipeline.step(scene(), deadline=wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a ladder needs two slots"):
        Pipeline.load(small_bundle, ladder=Ladder(), slots=1)
    with Pipeline.load(small_bundle) as plain, pytest.raises(InputError, match="has no ladder") as caught:
        plain.step(scene(), deadline=1.0)
    assert "ladder=Ladder()" in (caught.value.remedy or "")


def test_memory_that_is_bound_is_read_by_both_halves(pipeline: Pipeline) -> None:
    mine, preset = scene(seed=5), pipeline.preset
    expected = pipeline.step(mine).copy()
    xyz = np.zeros((preset.max_points, 3), np.float32)
    pipeline.bind("xyz", xyz)
    xyz[: mine.num_points] = mine.xyz
    result = pipeline.step({"num_points": mine.num_points}, deadline=LATE)
    assert np.array_equal(result.coarse, expected.coarse)
    assert np.array_equal(result.frames, expected.frames)


def test_between_the_full_decoder_and_the_coarse_frames_is_the_tiny_one(
    backend: GatedBackend, both_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published decoder is held back: from the next step on the tiny one is taken, and its frames are that decoder's own."""
    decoders = ("full", "tiny")
    with pipeline_over(backend, both_bundle, monkeypatch, Ladder(grace_ms=PATIENT_MS), decoders=decoders) as pipeline:
        expected = {decoder: pipeline.step(scene(), decoder=decoder).copy() for decoder in decoders}  # type: ignore[arg-type]
        best = pipeline.step(scene(), deadline=LATE)
        assert (best.status, best.step.rung) == ("ok", "full")
        assert np.array_equal(best.frames, expected["full"].frames)
        backend.gates["decode_first"].shut()
        assert pipeline.step(scene(), deadline=SOON).status == "late"
        backend.gates["decode_first"].open()
        for _ in range(500):
            result = pipeline.step(scene(), deadline=SOON)
            if result.step.rung != "coarse":  # the late one has ended
                break
        assert (result.status, result.step.rung) == ("degraded", "tiny")
        assert result.step.reason == "rung full did not fit the deadline"
        assert result.timestep == expected["tiny"].timestep
        assert np.array_equal(result.frames, expected["tiny"].frames)
        assert not np.array_equal(result.frames, expected["full"].frames)
        assert pipeline.counters.rung == "tiny"
        with pytest.raises(InputError, match="the ladder chooses the decoder"):
            pipeline.step(scene(), deadline=SOON, decoder="full")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("pieces", "capture"), [(1, True), (6, True), (40, True), (6, False)])
def test_whatever_order_a_device_takes_every_result_is_whole(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch, seed: int, pieces: int, capture: bool
) -> None:
    """Some refinements end in time and some do not, at random; what is handed out is always its own step's, refined or coarse."""
    scratch = {"renderer": 4096, "encode_clip": 3000, "student": 9000}
    with pipeline_over(HashBackend(None, scratch), small_bundle, monkeypatch) as alone:
        expected = [alone.step(scene(seed=number)).copy() for number in range(5)]
    looks = [0]
    monkeypatch.setattr("videoscene_rt.split_run.wait_until", lambda done, timeout: _looked(done, timeout, looks))
    device = WorkingDevice(seed, pieces)
    backend = HashBackend(device, scratch)
    with pipeline_over(backend, small_bundle, monkeypatch, Ladder(down_after=10_000), capture=capture) as pipeline:
        assert pipeline.captured is capture
        made = device.captured
        seen: set[str] = set()
        for turn in range(15):
            result = (
                pipeline.step(scene(seed=turn % 5), deadline=5.0) if turn % 4 else pipeline.step(scene(seed=turn % 5))
            )
            wanted = expected[turn % 5]
            _same(result, wanted, refined=result.status == "ok")
            seen.add(result.status)
        assert device.captured == made, "a step captured"
        assert "ok" in seen


def _looked(done: Any, timeout: float, looks: list[int]) -> bool:
    """In place of a clock: the refinement is looked at three times, the rendering until it is there."""
    looks[0] += 1
    return any(done() for _ in range(3 if timeout > 1 else 100_000))


def _same(result: Result, wanted: Result, *, refined: bool) -> None:
    assert np.array_equal(result.coarse, wanted.coarse)
    assert np.array_equal(result.depth, wanted.depth)
    assert np.array_equal(result.frames, wanted.frames if refined else wanted.coarse)


def test_time_left_never_falls_below_nothing() -> None:
    now = time.monotonic()
    assert Deadline(now - 2, now - 1).left_s == 0
    assert Deadline(now - 2, now - 1).passed
    assert 9 < Deadline(now, now + 10).left_s <= 10
