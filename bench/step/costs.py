"""What a step takes of the host: memory, objects, Python instructions, and how much of it is not the chain's."""

from __future__ import annotations

import gc
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from videoscene_rt.bench.chain_pipeline import Ways
from videoscene_rt.bench.closed_loop import LoopSettings
from videoscene_rt.bench.step_facts import CostFacts

_COUNTS = 3
_FEWEST_PAIRS = 4


def costs(pipeline: Any, ways: Ways, settings: LoopSettings) -> CostFacts:
    """Everything of `CostFacts` but the device's memory, which is sampled from outside; of a pipeline that has stepped before."""
    warm = (
        {"scene": ways.scene} if pipeline.chain.device.kind == "cpu" else {"scene": ways.scene, "device": ways.device}
    )
    counted = {name: bytecodes(lambda given=given: pipeline.step(given)) for name, given in warm.items()}  # type: ignore[misc]
    return CostFacts(
        process_peak_bytes=peak_memory(),
        python_transient_bytes=transient_bytes(lambda: pipeline.step(ways.scene)),
        python_blocks=blocks_left(lambda: pipeline.step(ways.scene)),
        bytecodes=counted,
        step_over_chain=interleaved(
            lambda: pipeline.step(ways.scene), pipeline.chain.run, max(_FEWEST_PAIRS, settings.iterations // 2)
        ),
    )


def peak_memory() -> int:
    """The most memory this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def bytecodes(step: Callable[[], object]) -> int:
    """Python instructions of one call in this thread: the least of a few, since a first one may import or fill a cache."""
    return min(_traced(step) for _ in range(_COUNTS))


def _traced(step: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        step()
    finally:
        sys.settrace(before)
    return count


def transient_bytes(step: Callable[[], object]) -> int:
    """The most bytes of Python's allocator (NumPy's arrays are in it) that one call held over what was held before it."""
    tracemalloc.start()
    try:
        step()
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        step()
        return max(0, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()


def blocks_left(step: Callable[[], object]) -> int:
    """Objects that one call leaves behind: the median of a few, garbage collected before and after."""
    found = []
    for _ in range(_COUNTS):
        gc.collect()
        before = sys.getallocatedblocks()
        step()
        gc.collect()
        found.append(sys.getallocatedblocks() - before)
    return int(np.median(found))


def interleaved(one: Callable[[], object], other: Callable[[], object], pairs: int) -> tuple[float, float, float]:
    """The time of one over the time of the other, in pairs one after the other: the median, the lower and the upper quartile."""
    ratios = []
    for number in range(pairs):
        # A B, B A, A B, …: what drifts is in both.
        times = {}
        for name, work in ((0, one), (1, other)) if number % 2 == 0 else ((1, other), (0, one)):
            begin = time.perf_counter_ns()
            work()
            times[name] = max(1, time.perf_counter_ns() - begin)
        ratios.append(times[0] / times[1])
    middle, low, high = np.percentile(ratios, [50, 25, 75]).tolist()
    return middle, low, high
