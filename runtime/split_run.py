"""Steps in two under way: rendered at once, and refined until a deadline."""

from __future__ import annotations

import time
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass

from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.split import SplitStep
from videoscene_rt.handle import wait_until
from videoscene_rt.ladder import COARSE
from videoscene_rt.worker import Worker

Times = dict[str, float]


@dataclass(frozen=True)
class Deadline:
    """When a result is needed.

    Attributes:
        begun: when the call came, and when its result is needed, seconds of time.monotonic.
    """

    begun: float
    at: float

    @property
    def left_s(self) -> float:
        """Seconds until then, at least 0."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether it is over."""
        return time.monotonic() > self.at


class DeviceSplitRun:
    """`videoscene_rt.handle.Run`: both halves put onto a device's streams.

    Where the chain is not captured, a worker puts the refinement there: a backend may hold its thread until a stage has run.

    Args:
        chain, split, slot, rung: what runs.
        worker: that one.

    Attributes:
        rung: which one it is on.
        observed: whether the ladder has been told how long it took, or had taken at its deadline.
        late: whether it had not ended at its deadline.
    """

    def __init__(self, chain: Chain, split: SplitStep, slot: int, rung: str, worker: Worker) -> None:
        self.rung = rung
        self.observed = self.late = False
        self._chain = chain
        self._slot = chain.slots[slot]
        self._rendered = split.rendered[slot]
        self._launched = time.monotonic()
        self._aside: Future[Times] | None = None
        split.render(slot)
        if rung == COARSE:
            return
        if chain.captured:
            split.refine(slot, rung)
        else:
            self._aside = worker.submit(self._refine, split, slot)

    @property
    def done(self) -> bool:
        """See `Run.done`."""
        return (self._aside is None or self._aside.done()) and self._slot.done.done

    def wait(self, timeout: float | None) -> bool:
        """See `Run.wait`."""
        end = None if timeout is None else time.monotonic() + timeout
        if self._aside is not None and not _ended(self._aside, timeout):
            return False
        if end is not None and not wait_until(lambda: self.done, max(0.0, end - time.monotonic())):
            return False
        self._slot.done.synchronize()
        return True

    def rendered(self, timeout: float) -> bool:
        """Wait for the coarse frames, at most so many seconds; whether they are there."""
        if not wait_until(lambda: self._rendered.done, timeout):
            return False
        self._rendered.synchronize()
        return True

    def order(self, handle: int) -> None:
        """See `Run.order`."""
        if self._aside is not None:
            self._aside.result()
        self._chain.device.order(self._chain.lanes[0].handle, before=handle)

    @property
    def elapsed_ms(self) -> float:
        """Since the launch."""
        return (time.monotonic() - self._launched) * 1e3

    @property
    def took_ms(self) -> float:
        """From launch to end, where nobody saw when it ended: what the device's own clock says."""
        return self._chain.device.elapsed_ms(self._slot.begin, self._slot.done)

    @property
    def times(self) -> Times:
        """Milliseconds on the device: to the coarse frames ("render") and, if it is done, to the end ("chain")."""
        device, slot = self._chain.device, self._slot
        found = {"render": device.elapsed_ms(slot.begin, self._rendered)}
        return {**found, "chain": device.elapsed_ms(slot.begin, slot.done)} if self.done else found

    def _refine(self, split: SplitStep, slot: int) -> Times:
        self._chain.device.use()  # it is current in a thread, and this is another one
        return split.refine(slot, self.rung)


class HostSplitRun:
    """`videoscene_rt.handle.Run`: one half on each of two threads, since the host is the device.

    Args:
        render, refine: the threads. Rendering has one of its own, so that it can begin while an earlier refinement still computes.
    """

    def __init__(self, split: SplitStep, slot: int, rung: str, render: Worker, refine: Worker) -> None:
        self.rung = rung
        self.observed = self.late = False
        self._launched = time.monotonic()
        self._ended: float | None = None
        self._first: Future[Times] = render.submit(self._render, split, slot)
        try:
            self._last = self._first if rung == COARSE else refine.submit(self._refine, split, slot)
        except BaseException:  # no thread could be started: nothing runs on the slot when it is given back
            wait([self._first])
            raise

    @property
    def done(self) -> bool:
        """See `Run.done`."""
        return self._last.done()

    def wait(self, timeout: float | None) -> bool:
        """See `Run.wait`."""
        return _ended(self._last, timeout)

    def rendered(self, timeout: float) -> bool:
        """See `DeviceSplitRun.rendered`."""
        return _ended(self._first, timeout)

    def order(self, handle: int) -> None:
        """The host has no streams: it waits here."""
        self.wait(None)

    @property
    def elapsed_ms(self) -> float:
        """Since the launch; of one that has ended, until then."""
        return ((self._ended or time.monotonic()) - self._launched) * 1e3

    took_ms = elapsed_ms

    @property
    def times(self) -> Times:
        """Milliseconds of each stage that has run."""
        found: Times = {}
        for half in (self._first, self._last):
            if half.done() and half.exception() is None:  # a late one may have failed: it is dropped
                found.update(half.result())
        return found

    def _render(self, split: SplitStep, slot: int) -> Times:
        times = split.render(slot)
        if self.rung == COARSE:
            self._ended = time.monotonic()
        return times

    def _refine(self, split: SplitStep, slot: int) -> Times:
        self._first.result()
        times = split.refine(slot, self.rung)
        self._ended = time.monotonic()
        return times


SplitRun = DeviceSplitRun | HostSplitRun


def failed(run: SplitRun) -> bool:
    """Whether a run that is done ended in an error."""
    with suppress(Exception):
        run.wait(None)
        return False
    return True


def _ended(future: Future[Times], timeout: float | None) -> bool:
    try:
        future.result(timeout)
    except FutureTimeout:
        return False
    return True
