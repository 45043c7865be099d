"""The loops around one pipeline: the chain alone, steps by the way their inputs are given, steps in flight, and what memory does."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from typing import Any

from videoscene_rt.bench.chain_facts import Growth, Throughput
from videoscene_rt.bench.closed_loop import LoopSettings, Samples, closed_loop
from videoscene_rt.engines.device import Device, Event

_SETTLING_STEPS = 10


class SlotTimer:
    """`videoscene_rt.bench.closed_loop.Timer` from the events that the chain itself records around a step.

    Args:
        device: the chain's.
        begin, done: a slot's.
    """

    def __init__(self, device: Device, begin: Event, done: Event) -> None:
        self._device, self._begin, self._done = device, begin, done

    def start(self) -> None:
        """The launch records it."""

    def stop(self) -> None:
        """The launch records it."""

    def elapsed_ms(self) -> float:
        """See `Timer.elapsed_ms`."""
        return self._device.elapsed_ms(self._begin, self._done)


def steps(step: Callable[[], object], settings: LoopSettings) -> Samples:
    """Milliseconds of a call that returns when the step is done."""
    return closed_loop(step, _nothing, settings).host


def submissions(pipeline: Any, given: Any, settings: LoopSettings) -> Samples:
    """Milliseconds that `Pipeline.submit` keeps its caller, each with a free slot and nothing else under way."""
    latest: list[Any] = [None]

    def submit() -> None:
        latest[0] = pipeline.submit(given)

    def wait() -> None:
        if latest[0] is not None:
            latest[0].result()
            latest[0].release()
            latest[0] = None

    return closed_loop(submit, wait, settings).enqueue


def in_flight(pipeline: Any, given: Any, count: int, together: int) -> Throughput:
    """Steps one behind the other, ``together`` of them submitted and not released at any time."""
    _flow(pipeline, given, _SETTLING_STEPS, together)
    begin = time.perf_counter()
    _flow(pipeline, given, count, together)
    return Throughput(steps=count, in_flight=together, seconds=time.perf_counter() - begin)


def growth(step: Callable[[], object], device: Device, count: int, settling: int = _SETTLING_STEPS) -> Growth:
    """What a number of steps leave behind: device memory, and what Python's allocator holds after garbage was collected."""
    tracemalloc.start()
    try:
        for _ in range(settling):
            step()
        gc.collect()
        free, held = device.free_bytes(), tracemalloc.get_traced_memory()[0]
        for _ in range(count):
            step()
        gc.collect()
        more_bytes = tracemalloc.get_traced_memory()[0] - held
    finally:
        tracemalloc.stop()
    return Growth(
        steps=count,
        device_free_before=free,
        device_free_after=device.free_bytes(),
        python_bytes=more_bytes,
    )


def _flow(pipeline: Any, given: Any, count: int, together: int) -> None:
    waiting: deque[Any] = deque()
    for _ in range(count):
        if len(waiting) == together:
            _take(waiting)
        waiting.append(pipeline.submit(given))
    while waiting:
        _take(waiting)


def _take(waiting: deque[Any]) -> None:
    handle = waiting.popleft()
    handle.result()
    handle.release()


def _nothing() -> None:
    """The call has waited already."""
