"""Which slots are free: taken by a step, and given back by its handle, or when a late step that nobody waits for has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from videoscene_rt.chain.chain import Chain
from videoscene_rt.deadline import Deadlines
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.launching import AnyRun
from videoscene_rt.runs import HostRun
from videoscene_rt.split_run import DeviceSplitRun, HostSplitRun
from videoscene_rt.stream_runs import DeviceStreamRun

_LOOK_S = 1e-3


class StoppedError(Exception):
    """A pool gives out no more slots."""


class SlotPool:
    """The free slots of a chain; the one that has been free for longest is taken first.

    Args:
        chain: whose.
        deadlines: of steps that have one.
    """

    def __init__(self, chain: Chain, deadlines: Deadlines | None) -> None:
        self._slots = chain.slots
        self._deadlines = deadlines
        self._before: SlotPool | None = None
        self._stopped = False
        self._free = [slot.number for slot in chain.slots]
        self._changed = threading.Condition()

    def take(self, timeout: float | None) -> int:
        """The number of a free slot, which is then the caller's; those of late steps that have ended since are free again.

        Args:
            timeout: seconds to wait for one; None waits for as long as it takes.

        Raises:
            BackendError: none became free in time.
            StoppedError: no more are given out.
        """
        before = self._before
        if before is not None:
            before._wait_whole(timeout)
            self._before = None
        end = None if timeout is None else time.monotonic() + timeout
        while self._reap():
            left = _LOOK_S if end is None else min(_LOOK_S, end - time.monotonic())
            with suppress(BackendError):
                return self._take_free(max(0.0, left))
            if left <= 0:
                raise BackendError(
                    f"every slot is held, some by steps that came too late and still run, and none was given back within {timeout:g} s",
                    "release handles when their results are read; if it happens again the device hangs",
                )
        return self._take_free(timeout)

    def follow(self, before: SlotPool) -> None:
        """Give out no slot before those of another pool are all free: both write into the same memory, the user's."""
        self._before = before

    def stop(self) -> None:
        """Give out no more, and tell those who wait for one."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def give(self, slot: int) -> None:
        """Give a slot back that nothing uses."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()

    def release(self, slot: int, run: AnyRun, reader: int | None) -> None:
        """Give back the slot of a step whose result nobody needs any more; what a thread still runs keeps it until its end.

        Nobody waits for that here: Python's collector may call this, on any thread, that one included.

        Args:
            slot: the step's. run: the step.
            reader: the handle of a stream that still reads the results; None if none does.
        """
        try:
            if reader is not None:
                # now, since the stream may be gone when the slot's next step begins
                self._slots[slot].readers.mark(reader)
        finally:
            self._give_back(slot, run)

    def _give_back(self, slot: int, run: AnyRun) -> None:
        if isinstance(run, (DeviceSplitRun, HostSplitRun)):
            if self._deadlines is not None:
                self._deadlines.park(slot, run)
                self._reap()
        elif isinstance(run, (DeviceStreamRun, HostRun)):
            run.when_off(lambda: self.give(slot))
        else:
            self.give(slot)

    def _take_free(self, timeout: float | None) -> int:
        with self._changed:
            self._wait(lambda: bool(self._free) or self._stopped, timeout)
            if self._stopped:
                raise StoppedError
            return self._free.pop(0)

    def _wait_whole(self, timeout: float | None) -> None:
        before = self._before
        if before is not None:
            before._wait_whole(timeout)
        self._wait(lambda: len(self._free) == len(self._slots), timeout)

    def _wait(self, so: Callable[[], bool], timeout: float | None) -> None:
        with self._changed:
            if not self._changed.wait_for(so, timeout):
                raise BackendError(
                    f"every slot is held by a handle that was not released within {timeout:g} s",
                    "release handles when their results are read: with pipeline.submit(scene) as handle: …",
                )

    def _reap(self) -> bool:
        """Give back the slots of late steps that have ended; whether there are others."""
        if self._deadlines is None:
            return False
        for slot in self._deadlines.reap():
            self.give(slot)
        return self._deadlines.parked
