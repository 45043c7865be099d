"""Frames as they come: how long until the first one can be read, and how long between one and the next.

A source yields, whenever frames have become readable on the host, how many they are: those of a stream come a chunk at a time.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from videoscene_rt.bench.closed_loop import Clock, LoopSettings, Samples, closed_loop
from videoscene_rt.engines.errors import InputError

_SETTLING = 2


@dataclass(frozen=True)
class StreamRun:
    """What came out of a source.

    Attributes:
        group: frames that came at once, the most; 1 is a stream of single frames.
        spacing: milliseconds from one group to the next.
        seconds: from the first group to the last one.
        frames: that came after the first group.
    """

    group: int
    spacing: Samples
    seconds: float
    frames: int

    @property
    def frames_per_second(self) -> float | None:
        """Frames a second in a long run; None where the clock saw no time pass."""
        return self.frames / self.seconds if self.seconds > 0 else None


def watch_frames(source: Iterator[int], groups: int, clock: Clock = time.perf_counter_ns) -> StreamRun:
    """Take groups of frames from a source and time them. Python's garbage collector rests meanwhile.

    Args:
        source: see the module; its first groups are not counted.
        groups: how many to time, at least 2.
        clock: nanoseconds of the host's monotonic clock.

    Raises:
        InputError: fewer than two groups are asked for, or came: there is no spacing.
    """
    if groups < 2:
        raise InputError("the spacing of frames takes at least 2 steps", "give more --steps")
    collecting = gc.isenabled()
    gc.disable()
    moments: list[int] = []
    sizes: list[int] = []
    try:
        for number, size in enumerate(source):
            if number >= _SETTLING:
                moments.append(clock())
                sizes.append(size)
            if len(moments) == groups:
                break
    finally:
        if collecting:
            gc.enable()
    if len(moments) < 2:
        raise InputError("the source ended before two groups of frames had come", "give it more to do")
    spacing = np.diff(np.asarray(moments, np.float64)) / 1e6
    return StreamRun(max(sizes), spacing, float(spacing.sum()) / 1e3, sum(sizes[1:]))


def streams(pipeline: Any, given: Any, together: int) -> Iterator[int]:
    """The frames of one stream after the other, each chunk brought to the host.

    Args:
        pipeline: whose.
        given: see `Pipeline.stream`.
        together: streams begun and not closed at any time.
    """
    waiting: deque[Any] = deque()
    try:
        while True:
            while len(waiting) < together:
                waiting.append(pipeline.stream(given))
            with waiting.popleft() as stream:
                for frames in stream:
                    yield len(frames.host())
    finally:
        for stream in waiting:
            stream.close()


def arrivals(pipeline: Any, given: Any, settings: LoopSettings) -> tuple[Samples, Samples, tuple[int, ...]]:
    """Milliseconds from the call of a stream on an idle pipeline until its first frames, and until its last ones, lie on the host.

    Returns:
        Both, and how many frames a chunk has.
    """
    first: list[int] = []
    sizes: list[int] = []

    def run() -> None:
        sizes.clear()
        begin = time.perf_counter_ns()
        with pipeline.stream(given) as stream:
            for frames in stream:
                sizes.append(len(frames.host()))
                if len(sizes) == 1:
                    first.append(time.perf_counter_ns() - begin)

    last = closed_loop(run, lambda: None, settings).host
    return np.asarray(first[-len(last) :], np.float64) / 1e6, last, tuple(sizes)
