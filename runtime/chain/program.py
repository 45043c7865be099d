"""The stages of one slot, bound, on their streams: run one by one, or captured once and replayed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from videoscene_rt.chain.schedule import Placed, Schedule
from videoscene_rt.engines.device import Device, Event, GraphForm, Stream
from videoscene_rt.engines.engine import Context
from videoscene_rt.nvtx import stage_range


@dataclass(frozen=True)
class StageTime:
    """When a stage ran, in milliseconds from the beginning of the step, on the device's clock (the host's on the CPU)."""

    stage: str
    lane: int
    start_ms: float
    end_ms: float


class Program:
    """The contexts of one slot in the order of the schedule.

    Args:
        device: whose streams these are.
        schedule: the order, the lanes and the waits.
        contexts: by stage, everything bound.
        lanes: a stream for each lane.
    """

    def __init__(
        self, device: Device, schedule: Schedule, contexts: Mapping[str, Context], lanes: Sequence[Stream]
    ) -> None:
        self._device = device
        self._schedule = schedule
        self._contexts = contexts
        self._lanes = lanes
        self._launch: Callable[[Any], None] | None = None
        self._fork = device.event()
        waited = {*schedule.tails, *(wait for placed in schedule.placed for wait in placed.waits)}
        self._done = {stage: device.event() for stage in waited}
        heads: dict[int, str] = {}
        for placed in schedule.placed:
            heads.setdefault(placed.lane, placed.stage)
        self._heads = {stage for lane, stage in heads.items() if lane}

    @property
    def contexts(self) -> Mapping[str, Context]:
        """By stage, what it runs."""
        return self._contexts

    @property
    def captured(self) -> bool:
        """Whether it is replayed as one graph."""
        return self._launch is not None

    def capture(self, form: GraphForm = "plain") -> None:
        """Run it once, so that everything that allocates late has done so, and capture it.

        Raises:
            BackendError: it cannot be captured; it then runs stage by stage.
        """
        self.forget()
        self.enqueue()
        self._lanes[0].synchronize()

        def work() -> None:
            self.enqueue()

        self._launch = self._device.capture(self._lanes[0], work, form)

    def forget(self) -> None:
        """Drop the graph; what it was captured from has changed."""
        self._launch = None

    def launch(self) -> dict[str, float]:
        """Put one run onto lane 0, without waiting on a device that need not.

        Returns:
            Milliseconds of each stage on the host's clock, where the device runs what it is given at once (the CPU); else nothing.
        """
        if self._launch is not None:
            self._launch(self._lanes[0])
            return {}
        return self.enqueue()

    def enqueue(self, around: Callable[[Placed, Callable[[], None]], None] | None = None) -> dict[str, float]:
        """Put every stage onto its stream; see `launch`.

        Args:
            around: called with each stage and what enqueues it, in place of that.
        """
        main = self._lanes[0]
        main.record(self._fork)
        times = {}
        for placed in self._schedule.placed:
            stream = self._lanes[placed.lane]
            if placed.stage in self._heads:
                stream.wait(self._fork)
            for stage in placed.waits:
                stream.wait(self._done[stage])
            begin = time.perf_counter_ns()
            with stage_range(placed.stage):
                if around is None:
                    self._contexts[placed.stage].enqueue(stream.handle)
                else:
                    around(placed, lambda p=placed, s=stream: self._contexts[p.stage].enqueue(s.handle))  # type: ignore[misc]
            times[placed.stage] = (time.perf_counter_ns() - begin) / 1e6
            if placed.stage in self._done:
                stream.record(self._done[placed.stage])
        for stage in self._schedule.tails:
            main.wait(self._done[stage])
        return {} if self._device.captures else times

    def timeline(self, repeats: int) -> tuple[StageTime, ...]:
        """When each stage ran: medians over some runs, with an event before and after each stage.

        On a device that captures, the runs are replays of a graph with those events in it, so that the host's pace is not in the
        figures; what the events cost is.
        """
        runs = [self._clocked() for _ in range(repeats)] if not self._device.captures else self._marked(repeats)
        return tuple(
            StageTime(
                placed.stage,
                placed.lane,
                median(run[placed.stage][0] for run in runs),
                median(run[placed.stage][1] for run in runs),
            )
            for placed in self._schedule.placed
        )

    def _clocked(self) -> dict[str, tuple[float, float]]:
        started = time.perf_counter_ns()
        spans = {}

        def around(placed: Placed, enqueue: Callable[[], None]) -> None:
            begin = time.perf_counter_ns()
            enqueue()
            spans[placed.stage] = ((begin - started) / 1e6, (time.perf_counter_ns() - started) / 1e6)

        self.enqueue(around)
        return spans

    def _marked(self, repeats: int) -> list[dict[str, tuple[float, float]]]:
        device, main = self._device, self._lanes[0]
        origin = device.event(timing=True)
        marks: dict[str, tuple[Event, Event]] = {
            placed.stage: (device.event(timing=True), device.event(timing=True)) for placed in self._schedule.placed
        }

        def around(placed: Placed, enqueue: Callable[[], None]) -> None:
            stream, (begin, end) = self._lanes[placed.lane], marks[placed.stage]
            stream.mark(begin)
            enqueue()
            stream.mark(end)

        def work() -> None:
            main.mark(origin)
            self.enqueue(around)

        launch = device.capture(main, work) if self.captured else lambda stream: work()
        runs = []
        for _ in range(repeats):
            launch(main)
            main.synchronize()
            runs.append(
                {
                    stage: (device.elapsed_ms(origin, begin), device.elapsed_ms(origin, end))
                    for stage, (begin, end) in marks.items()
                }
            )
        return runs
