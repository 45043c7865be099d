"""Streams on a device that chooses the order at random: each chunk's frames are the right bits when its event says so."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.scenes import scene
from tests.support.simulated_device import HashBackend, HashEngine, SimulatedDevice
from videoscene_rt import Pipeline
from videoscene_rt.chain import stage_engines
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.keep import keep_signature

SCRATCH = {
    "renderer": 4096,
    "encode_images": 5000,
    "student": 9000,
    "decode_first": 7000,
    "decode_next": 6000,
    "decode_stream": 3000,
}


@pytest.fixture(scope="module", params=["full", "tiny"])
def case(request: pytest.FixtureRequest, both_bundle: Path) -> tuple[Bundle, str]:
    return Bundle.open(both_bundle), request.param


def make(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, device: SimulatedDevice | None, **options: Any) -> Pipeline:
    backend = HashBackend(device, SCRATCH)
    monkeypatch.setattr(stage_engines, "watch_engine", backend.watch)
    monkeypatch.setattr(
        stage_engines, "keep_engine", lambda _, height, width: HashEngine(keep_signature(height, width), device)
    )
    plan = plan_chain(bundle.manifest, decoders=("full", "tiny"), streaming=True)
    chain = Chain(plan, bundle, backend, **{"slots": 2, "capture": True, **options})
    chain.write("prompt", bundle.prompt())
    return Pipeline(bundle, chain, backend)  # type: ignore[arg-type]


def given(number: int) -> Any:
    return scene(seed=number, points=500 + 100 * number)


def alone(case: tuple[Bundle, str], monkeypatch: pytest.MonkeyPatch, count: int) -> list[np.ndarray]:
    """The frames of streams, one after the other, where everything runs at once."""
    bundle, decoder = case
    with make(bundle, monkeypatch, None, slots=1) as pipeline:
        return [streamed(pipeline, given(number), decoder) for number in range(count)]


def streamed(pipeline: Pipeline, scene: Any, decoder: str) -> np.ndarray:
    with pipeline.stream(scene, decoder=decoder) as stream:  # type: ignore[arg-type]
        return np.concatenate([frames.host().copy() for frames in stream])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("capture", [True, False])
def test_each_chunk_is_right_when_its_event_says_so(
    case: tuple[Bundle, str], monkeypatch: pytest.MonkeyPatch, seed: int, capture: bool
) -> None:
    """Two streams in flight with a whole step between them; a stream captures nothing."""
    bundle, decoder = case
    expected = alone(case, monkeypatch, 3)
    with make(bundle, monkeypatch, None, slots=1) as pipeline:
        whole = pipeline.step(given(2)).copy().frames
    if decoder == "full":
        assert np.array_equal(whole, expected[2]), "the same graphs"
    device = SimulatedDevice(seed)
    with make(bundle, monkeypatch, device, capture=capture) as pipeline:
        assert pipeline.captured is capture
        made = device.captured
        if capture:  # a slot: the step, the step with the other decoder, and each part of two streams
            assert made == 2 * (2 + (1 + 2) + (1 + 5))
        with pipeline.stream(given(0), decoder=decoder) as one:  # type: ignore[arg-type]
            first = next(one).host().copy()
            with pipeline.stream(given(1), decoder=decoder) as two:  # type: ignore[arg-type]
                later = np.concatenate([frames.host().copy() for frames in two])
            rest = [frames.host().copy() for frames in one]
            assert np.array_equal(np.concatenate([first, *rest]), expected[0])
        assert np.array_equal(later, expected[1])
        assert np.array_equal(pipeline.step(given(2)).frames, whole)
        assert np.array_equal(streamed(pipeline, given(2), decoder), expected[2])
        assert device.captured == made, "a stream captured"


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_that_is_left_does_not_touch_the_next_step(
    case: tuple[Bundle, str], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    bundle, decoder = case
    expected = alone(case, monkeypatch, 2)
    with make(bundle, monkeypatch, SimulatedDevice(seed), slots=1) as pipeline:
        for _ in range(3):
            with pipeline.stream(given(0), timeout=0, decoder=decoder) as stream:  # type: ignore[arg-type]
                assert np.array_equal(next(stream).array, expected[0][: stream.spans[0][1]])
            assert np.array_equal(streamed(pipeline, given(1), decoder), expected[1])


def test_a_stream_of_ones_own_reads_a_chunk_while_the_next_is_computed(
    case: tuple[Bundle, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It copies late; the next step in the slot must wait for it, the chunks after it need not."""
    bundle, decoder = case
    expected = alone(case, monkeypatch, 2)
    for seed in range(6):
        device = SimulatedDevice(seed)
        with make(bundle, monkeypatch, device, slots=1) as pipeline:
            reader, seen = device.new_stream(), np.zeros_like(expected[0])
            stream = pipeline.stream(given(0), decoder=decoder)  # type: ignore[arg-type]
            for frames in stream:
                frames.wait_on(reader.handle)
                view, span = frames.array, slice(frames.first, frames.stop)
                reader.push(lambda view=view, span=span, seen=seen: seen.__setitem__(span, view))
            pipeline.chain.slots[0].readers.take(reader.handle, reader)  # as an array that is taken through DLPack does
            assert np.array_equal(streamed(pipeline, given(1), decoder), expected[1])
            device.synchronize()
            assert np.array_equal(seen, expected[0])


def test_the_simulation_notices_an_event_that_is_recorded_too_early(
    case: tuple[Bundle, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, decoder = case
    expected = alone(case, monkeypatch, 1)[0]

    def early(chain: Chain, slot: Any, way: str, on_part: Any) -> dict[str, float]:
        for event in slot.part_done:
            chain.lanes[0].record(event)
        for program in slot.parts[way]:
            program.launch()
        return {}

    monkeypatch.setattr(Chain, "_launch_parts", early)
    wrong = 0
    for seed in range(4):
        with make(bundle, monkeypatch, SimulatedDevice(seed)) as pipeline:
            wrong += not np.array_equal(streamed(pipeline, given(0), decoder), expected)
    assert wrong


def test_a_backend_that_holds_its_thread_does_not_hold_the_first_frames(
    case: tuple[Bundle, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not captured, and the last part cannot be launched before somebody has the first frames."""
    bundle, decoder = case
    expected = alone(case, monkeypatch, 2)
    with make(bundle, monkeypatch, SimulatedDevice(3), capture=False) as pipeline:
        had = threading.Event()
        for slot in pipeline.chain.slots:
            last = slot.parts[f"stream.{decoder}"][-1]
            launch = last.launch
            monkeypatch.setattr(last, "launch", lambda launch=launch: (had.wait(30), launch())[1])
        with pipeline.stream(given(0), decoder=decoder) as stream:  # type: ignore[arg-type]
            first = next(stream).host().copy()
            had.set()
            frames = np.concatenate([first, *(each.host().copy() for each in stream)])
        assert np.array_equal(frames, expected[0])
        had.clear()
        left = pipeline.stream(given(0), decoder=decoder)  # type: ignore[arg-type]
        next(left)
        had.set()
        left.close()
        assert np.array_equal(streamed(pipeline, given(1), decoder), expected[1])
