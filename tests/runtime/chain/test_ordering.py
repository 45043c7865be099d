"""Whatever order the streams allow, every step gives the bits that it gives alone: on a device that chooses the order at random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.scenes import scene
from tests.support.simulated_device import REFUSED, HashBackend, SimulatedDevice
from videoscene_rt import BackendError, Pipeline
from videoscene_rt.chain import stage_engines
from videoscene_rt.chain import ways as ways_module
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.engines.bundle import Bundle

SCRATCH = {"renderer": 4096, "encode_clip": 3000, "encode_images": 5000, "student": 9000, "policy": 256}


@pytest.fixture(scope="module")
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def make(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, device: SimulatedDevice | None, **options: Any) -> Pipeline:
    backend = HashBackend(device, SCRATCH)
    monkeypatch.setattr(stage_engines, "watch_engine", backend.watch)
    chain = Chain(plan_chain(bundle.manifest), bundle, backend, **{"slots": 2, "capture": True, **options})
    chain.write("prompt", bundle.prompt())
    return Pipeline(bundle, chain, backend)  # type: ignore[arg-type]


def given(number: int) -> Any:
    return scene(seed=number % 7, points=500 + 100 * (number % 5))


def alone(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, count: int) -> list[np.ndarray]:
    with make(bundle, monkeypatch, None, slots=1) as pipeline:
        return [pipeline.step(given(number)).copy().frames for number in range(count)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("capture", [True, False])
def test_steps_in_flight_do_not_touch_one_another(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, seed: int, capture: bool
) -> None:
    expected = alone(bundle, monkeypatch, 8)
    device = SimulatedDevice(seed)
    with make(bundle, monkeypatch, device, capture=capture) as pipeline:
        assert pipeline.captured is capture
        made = device.captured
        waiting: list[Any] = []
        for number in range(8):
            if len(waiting) == 2:
                first, handle = waiting.pop(0)
                assert np.array_equal(handle.result().frames, expected[first])
                handle.release()
            waiting.append((number, pipeline.submit(given(number), timeout=0)))
        for number, handle in waiting:
            with handle:
                assert np.array_equal(handle.result().frames, expected[number])
        assert device.captured == made, "a step captured"


@pytest.mark.parametrize("seed", range(6))
def test_a_handle_may_be_released_before_its_step_has_run(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    expected = alone(bundle, monkeypatch, 7)
    with make(bundle, monkeypatch, SimulatedDevice(seed)) as pipeline:
        for number in range(6):
            pipeline.submit(given(number), timeout=0).release()
        assert np.array_equal(pipeline.step(given(6)).frames, expected[6])


@pytest.mark.parametrize("seed", range(6))
def test_what_is_not_given_stays_whichever_slot_it_lies_in(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    cloud = {name: getattr(scene(seed=3), name) for name in ("xyz", "rgb")}
    frames = []
    for device in (None, SimulatedDevice(seed)):
        with make(bundle, monkeypatch, device) as pipeline:
            pipeline.step(given(0))
            pipeline.step(cloud)
            frames.append([pipeline.step({"num_points": count}).copy().frames for count in (400, 300, 400)])
    assert all(np.array_equal(a, b) for a, b in zip(*frames, strict=True))
    assert np.array_equal(frames[0][0], frames[0][2])
    assert not np.array_equal(frames[0][0], frames[0][1])


def test_the_simulation_notices_a_wait_that_is_missing(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from videoscene_rt.chain import schedule as module

    right = ways_module.schedule

    def without_waits(plan: Any) -> Any:
        placed = right(plan).placed
        # The last stages of lanes 1 and 2 are joined at the end, in place of before the student.
        return module.Schedule(tuple(replace(each, waits=()) for each in placed))

    expected = alone(bundle, monkeypatch, 1)[0]
    monkeypatch.setattr(ways_module, "schedule", without_waits)
    wrong = 0
    for seed in range(12):
        with make(bundle, monkeypatch, SimulatedDevice(seed)) as pipeline:
            wrong += not np.array_equal(pipeline.step(given(0)).frames, expected)
    assert wrong


def test_binding_captures_again_and_the_steps_read_the_bound_memory(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = given(1), given(2)
    preset = bundle.manifest.preset
    xyz = np.zeros((preset.max_points, 3), np.float32)
    xyz[: mine.num_points] = mine.xyz
    device = SimulatedDevice(5)
    with make(bundle, monkeypatch, device) as pipeline:
        expected = pipeline.step(mine).copy().frames
        captures = device.captured
        pipeline.bind("xyz", xyz)
        assert device.captured == captures + 2, "one graph a slot"
        rest = {"num_points": mine.num_points}
        for _ in range(3):
            assert np.array_equal(pipeline.step(rest).frames, expected)
        xyz[: other.num_points] = other.xyz
        assert not np.array_equal(pipeline.step(rest).frames, expected)
        assert device.captured == captures + 2
        from videoscene_rt import InputError

        with pytest.raises(InputError, match="xyz: bound to memory of your own"):
            pipeline.step(mine)
        with pytest.raises(InputError, match="slots=1"):
            pipeline.bind("frames", np.zeros_like(expected))


def test_what_cannot_be_captured_runs_all_the_same_and_says_so_once(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = alone(bundle, monkeypatch, 3)
    with make(bundle, monkeypatch, SimulatedDevice(1, capturable=False)) as pipeline:
        assert not pipeline.captured
        assert [np.array_equal(pipeline.step(given(n)).frames, expected[n]) for n in range(3)] == [True] * 3
        assert pipeline.notes == (f"the chain runs stage by stage: {REFUSED}",)
    assert [record.message for record in caplog.records] == list(pipeline.notes)


@pytest.mark.parametrize(("refused", "form"), [("", "device-launch"), ("device-launch", "plain")])
def test_a_graph_for_device_launches_or_a_plain_one_in_its_place(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refused: str, form: str
) -> None:
    expected = alone(bundle, monkeypatch, 3)
    device = SimulatedDevice(1, refused=refused)
    mine = np.zeros((bundle.manifest.preset.max_points, 3), np.float32)
    with make(bundle, monkeypatch, device, capture="device-launch") as pipeline:
        assert pipeline.chain.graph_form == form
        assert pipeline.captured
        assert [np.array_equal(pipeline.step(given(n)).frames, expected[n]) for n in range(3)] == [True] * 3
        said = [f"no graph for device-launch, a plain one instead: {REFUSED}"] if refused else []
        assert list(pipeline.notes) == [record.message for record in caplog.records] == said
        pipeline.bind("xyz", mine)
        assert set(device.forms) == {form}, "binding captures in the same form, and asks for no other again"
        assert list(pipeline.notes) == said


def test_a_bound_result_is_written_in_place(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = alone(bundle, monkeypatch, 1)[0]
    mine = np.zeros_like(expected)
    with make(bundle, monkeypatch, SimulatedDevice(1), slots=1) as pipeline:
        pipeline.bind("frames", mine)
        assert pipeline.step(given(0)).frames is mine
    assert np.array_equal(mine, expected)


def test_a_third_step_waits_for_a_slot(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with make(bundle, monkeypatch, SimulatedDevice(0)) as pipeline:
        held = [pipeline.submit(given(n)) for n in range(2)]
        with pytest.raises(BackendError, match="not released within 0 s") as caught:
            pipeline.submit(given(2), timeout=0)
        assert "with pipeline.submit" in (caught.value.remedy or "")
        held[1].release()
        pipeline.submit(given(2), timeout=0).release()
        held[0].release()


def test_the_next_step_waits_for_a_stream_that_still_reads(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader copies the frames late on its own stream; a step in the same slot must not overwrite them before."""
    expected = alone(bundle, monkeypatch, 2)
    for seed in range(8):
        device = SimulatedDevice(seed)
        with make(bundle, monkeypatch, device, slots=1) as pipeline:
            reader, seen = device.new_stream(), np.zeros_like(expected[0])
            handle = pipeline.submit(given(0))
            handle.wait_on(reader.handle)
            view = pipeline.chain.view("frames", 0)
            reader.push(lambda seen=seen, view=view: seen.__setitem__(..., view.owner))
            handle.release(after=reader.handle)
            pipeline.submit(given(1)).release()
            device.synchronize()
            assert np.array_equal(seen, expected[0])


def test_a_submitted_step_takes_the_place_of_the_last_step_s_result(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from videoscene_rt import InputError

    with make(bundle, monkeypatch, SimulatedDevice(0)) as pipeline:
        result = pipeline.step(given(0))
        held = [pipeline.submit(given(n), timeout=0) for n in range(2)]
        with pytest.raises(InputError, match="given back for a later step"):
            _ = result.frames
        for handle in held:
            handle.release()
