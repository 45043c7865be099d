"""The loops around a pipeline, with stand-ins whose behaviour is known."""

from __future__ import annotations

import time
from typing import Any

import pytest

from videoscene_rt.bench.chain_series import growth, in_flight, steps, submissions
from videoscene_rt.bench.closed_loop import LoopSettings

FEW = LoopSettings(warmup_iterations=1, warmup_s=0, iterations=5, seconds=0)


class Device:
    """Free memory that shrinks with every step."""

    def __init__(self) -> None:
        self.free = 1000

    def free_bytes(self) -> int:
        return self.free


class Handle:
    def __init__(self, owner: Pipeline) -> None:
        self._owner = owner

    def result(self) -> None:
        time.sleep(0.02)

    def release(self) -> None:
        self._owner.held -= 1


class Pipeline:
    """Counts the handles that are held."""

    def __init__(self) -> None:
        self.held = self.most = self.submitted = 0

    def submit(self, given: object) -> Handle:
        self.held += 1
        self.submitted += 1
        self.most = max(self.most, self.held)
        return Handle(self)


def test_what_steps_leave_behind_is_seen() -> None:
    device, kept = Device(), []

    def step() -> None:
        kept.append(bytearray(10_000))
        device.free -= 3

    found = growth(step, device, 20)  # type: ignore[arg-type]
    assert found.device_bytes == 60
    assert 200_000 <= found.python_bytes < 230_000


def test_steps_that_leave_nothing_leave_nothing() -> None:
    found = growth(lambda: bytearray(10_000), Device(), 20)  # type: ignore[arg-type]
    assert found.device_bytes == 0
    assert found.python_bytes < 5_000


def test_as_many_steps_as_asked_for_are_under_way() -> None:
    pipeline = Pipeline()
    found = in_flight(pipeline, {}, 7, 2)
    assert (found.steps, found.in_flight, pipeline.most, pipeline.held) == (7, 2, 2, 0)
    assert found.ms_per_step == pytest.approx(20, rel=0.5)


def test_a_submission_is_its_call_alone() -> None:
    pipeline = Pipeline()
    samples = submissions(pipeline, {}, FEW)
    assert samples.size == 5
    assert samples.max() < 10, "the result takes 20 ms, and is not waited for inside"
    assert (pipeline.most, pipeline.held) == (1, 0)


def test_a_step_is_the_whole_call() -> None:
    def step() -> Any:
        time.sleep(0.005)

    assert steps(step, FEW).min() >= 5
