"""Steps under way: on a device, which runs beside the host; or on a thread, where the host is the device."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from videoscene_rt.chain.chain import Chain
from videoscene_rt.handle import wait_until

Times = dict[str, float]


class DeviceRun:
    """`videoscene_rt.handle.Run`: a slot's step, put onto the device."""

    def __init__(self, chain: Chain, slot: int) -> None:
        self._chain = chain
        self._slot = chain.slots[slot]

    @property
    def done(self) -> bool:
        """See `Run.done`."""
        return self._slot.done.done

    def wait(self, timeout: float | None) -> bool:
        """See `Run.wait`."""
        if timeout is not None and not wait_until(lambda: self.done, timeout):
            return False
        self._slot.done.synchronize()
        return True

    def order(self, handle: int) -> None:
        """See `Run.order`."""
        self._chain.device.order(self._chain.lanes[0].handle, before=handle)

    @property
    def times(self) -> Times:
        """Milliseconds on the device: "chain", from the first stage to the last."""
        return {"chain": self._chain.device.elapsed_ms(self._slot.begin, self._slot.done)}


class HostRun:
    """`videoscene_rt.handle.Run`: a step on a thread of the host, or one that has run already."""

    def __init__(self, future: Future[Times]) -> None:
        self._future = future

    @classmethod
    def ended(cls, times: Times) -> HostRun:
        """A step that has run."""
        future: Future[Times] = Future()
        future.set_result(times)
        return cls(future)

    @property
    def done(self) -> bool:
        """See `Run.done`."""
        return self._future.done()

    def wait(self, timeout: float | None) -> bool:
        """See `Run.wait`."""
        try:
            self._future.result(timeout)
        except FutureTimeout:
            return False
        return True

    def when_off(self, then: Callable[[], None]) -> None:
        """Call something when the step is off its thread, on that thread; at once where it is."""
        self._future.add_done_callback(lambda _: then())

    def order(self, handle: int) -> None:
        """The host has no streams: it waits here."""
        self.wait(None)

    @property
    def times(self) -> Times:
        """Milliseconds of each stage."""
        return self._future.result()
