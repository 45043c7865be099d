"""Streams that read results and are gone before the next step: waited for where that is known, never touched again where it is not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.chain.test_ordering import alone, given, make
from tests.support.simulated_device import SimulatedDevice
from videoscene_rt import InputError, Pipeline
from videoscene_rt.engines.bundle import Bundle


@pytest.fixture(scope="module")
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def late(pipeline: Pipeline, reader: Any, like: np.ndarray) -> np.ndarray:
    """What a reader copies from the first slot's frames, some time."""
    seen, view = np.zeros_like(like), pipeline.chain.view("frames", 0)
    reader.push(lambda: seen.__setitem__(..., view.owner))
    return seen


@pytest.mark.parametrize("said", ["release", "read_by", "by two"])
@pytest.mark.parametrize("seed", range(6))
def test_a_reader_that_is_destroyed_before_the_next_step_has_read_what_it_was_given(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, said: str, seed: int
) -> None:
    expected, device = alone(bundle, monkeypatch, 2), SimulatedDevice(seed)
    with make(bundle, monkeypatch, device, slots=1) as pipeline:
        handle, reader, other = pipeline.submit(given(0)), device.new_stream(), device.new_stream()
        handle.wait_on(reader.handle)
        handle.wait_on(other.handle)
        seen = [late(pipeline, reader, expected[0])]
        if said == "release":
            handle.release(after=reader.handle)
        else:
            result = handle.result()
            result.read_by(reader.handle)
            if said == "by two":
                seen.append(late(pipeline, other, expected[0]))
                result.read_by(other.handle)
            handle.release()
        reader.destroy()
        other.destroy()
        assert np.array_equal(pipeline.step(given(1)).copy().frames, expected[1])
        device.synchronize()
        assert all(np.array_equal(each, expected[0]) for each in seen)


def test_it_is_waited_for_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events are used again, and what was marked for one step is not the next one's."""
    device = SimulatedDevice(2)
    with make(bundle, monkeypatch, device, slots=1) as pipeline:
        reader, readers = device.new_stream(), pipeline.chain.slots[0].readers
        for turn in range(3):
            pipeline.submit(given(turn)).release(after=reader.handle)
            made = len(device._things)
        assert len(device._things) == made
        pipeline.step(given(0))
        assert (readers._marks, len(readers._spare)) == ([], 1)


def test_a_stream_that_nobody_owns_is_not_touched_again_and_that_is_said_once(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As DLPack gives it: a number. The simulated device, as the driver, takes no number of a stream that is gone."""
    expected, device = alone(bundle, monkeypatch, 2), SimulatedDevice(0)
    with make(bundle, monkeypatch, device, slots=1) as pipeline, caplog.at_level(logging.WARNING, "videoscene_rt"):
        for turn in range(2):
            handle, reader = pipeline.submit(given(0)), device.new_stream()
            pipeline.chain.slots[0].readers.take(reader.handle, None)
            reader.destroy()
            handle.release()
            assert np.array_equal(pipeline.step(given(1)).frames, expected[1]), turn
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "an array was taken through DLPack for a stream of which nobody says how long it lives"
    ]


def test_an_owner_is_kept_until_the_next_step_and_no_longer(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream is destroyed with it, as CuPy's are."""

    class Owner:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __del__(self) -> None:
            self.stream.destroy()

    expected = alone(bundle, monkeypatch, 2)
    for seed in range(4):
        device = SimulatedDevice(seed)
        with make(bundle, monkeypatch, device, slots=1) as pipeline:
            reader = device.new_stream()
            with pipeline.submit(given(0)) as handle:
                handle.wait_on(reader.handle)
                pipeline.chain.slots[0].readers.take(reader.handle, Owner(reader))
                seen = late(pipeline, reader, expected[0])  # enqueued after it was taken
            assert not reader.destroyed
            pipeline.submit(given(1)).release()
            assert reader.destroyed
            device.synchronize()
            assert np.array_equal(seen, expected[0])


def test_a_stream_that_is_refused_costs_no_slot(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    device = SimulatedDevice(0)
    with make(bundle, monkeypatch, device, slots=1) as pipeline:
        handle = pipeline.submit(given(0))
        with pytest.raises(KeyError):
            handle.release(after=7)
        result = pipeline.step(given(1))
        pipeline.submit(given(0), timeout=0).release()
        with pytest.raises(InputError, match="given back"):
            result.read_by(device.new_stream().handle)
