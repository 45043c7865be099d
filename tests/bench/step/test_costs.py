"""Costs of functions whose costs are known."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest

from videoscene_rt.bench.step.costs import blocks_left, bytecodes, interleaved, peak_memory, transient_bytes


def test_instructions_are_the_same_every_time_and_grow_with_the_work() -> None:
    def loop(turns: int) -> int:
        total = 0
        for number in range(turns):
            total += number
        return total

    ten, twenty, forty = (bytecodes(lambda turns=turns: loop(turns)) for turns in (10, 20, 40))
    assert bytecodes(lambda: loop(10)) == ten
    assert forty - twenty == 2 * (twenty - ten) > 0


def test_a_trace_that_was_there_comes_back() -> None:
    def trace(frame: FrameType, event: str, argument: Any) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        bytecodes(lambda: None)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)


def test_memory_of_a_step() -> None:
    assert transient_bytes(lambda: np.ones(1 << 20, np.uint8).sum()) == pytest.approx(1 << 20, rel=0.1)
    assert transient_bytes(lambda: None) < 4096
    assert peak_memory() > 10 << 20


def test_what_a_step_leaves_behind() -> None:
    kept: list[list[int]] = []
    assert blocks_left(lambda: kept.extend([[n] for n in range(500)])) >= 500
    assert blocks_left(lambda: [[n] for n in range(500)]) < 100


def test_pairs_change_places() -> None:
    order: list[str] = []
    found = interleaved(lambda: order.append("A"), lambda: order.append("B"), 4)
    assert "".join(order) == "ABBAABBA"
    assert found[1] <= found[0] <= found[2]
