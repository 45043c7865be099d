"""Streamed steps under way: a step that says of each of its chunks when it is done, and gives its frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from videoscene_rt.chain.chain import Chain
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.slices import part_of
from videoscene_rt.runs import DeviceRun, HostRun, Times

Spans = tuple[tuple[int, int], ...]
_BEFORE = 1
"""Parts without frames: the one before the decoder."""


class StreamRun(Protocol):
    """A streamed step under way: `videoscene_rt.handle.Run`, chunk by chunk.

    Attributes:
        spans: start and stop of each chunk's frames.
    """

    spans: Spans

    def wait_chunk(self, chunk: int) -> int:
        """Wait until a chunk is done; when that was seen, in nanoseconds of the host's monotonic clock.

        Raises:
            BackendError: it failed.
            InputError: it was not begun, since the stream was closed before.
        """

    def view(self, chunk: int, name: str) -> Any:
        """The frames of a chunk that is done, "frames" or "coarse", where they are."""

    def host(self, chunk: int, name: str) -> npt.NDArray[np.uint8]:
        """The same on the host."""

    def order_chunk(self, chunk: int, handle: int) -> None:
        """Make a stream wait for a chunk."""

    def cancel(self) -> None:
        """What has not begun shall not, where that can be had."""


class _Chunks:
    """What both kinds share."""

    def __init__(self, chain: Chain, slot: int, way: str) -> None:
        self.spans: Spans = tuple(part.frames for part in chain.plan.way(way).parts if part.frames is not None)
        self.slot, self.way = slot, way
        self._whole = chain

    def host(self, chunk: int, name: str) -> npt.NDArray[np.uint8]:
        """See `StreamRun.host`."""
        place = self._whole.slots[self.slot]
        return self._whole.downloads.download_frames(place, place.part_done[chunk + _BEFORE], name, self.spans[chunk])


class _Aside:
    """A way that a worker launches part by part: which parts it has launched, and when."""

    def __init__(self, worker: Any, chain: Chain, slot: int, way: str) -> None:
        self._changed = threading.Condition()
        self._wanted = True
        self.moments: list[int] = []

        def launch() -> Times:
            chain.device.use()  # it is current in a thread, and this is another one
            return chain.launch(slot, way, self._part)

        self.future: Future[Times] = worker.submit(launch)
        self.future.add_done_callback(lambda _: self._tell())

    def wait(self, part: int) -> int:
        """When a part was launched.

        Raises:
            BackendError: it could not be.
            InputError: it was not, since nobody wanted it any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self.moments) > part or self.future.done())
            if len(self.moments) > part:
                return self.moments[part]
        self.future.result()  # says what went wrong
        raise InputError("the stream was closed before these frames were computed")

    def cancel(self) -> None:
        """The part that is being launched is the last one."""
        self._wanted = False

    def _part(self, _number: int) -> bool:
        with self._changed:
            self.moments.append(time.monotonic_ns())
            self._changed.notify_all()
        return self._wanted

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


class DeviceStreamRun(_Chunks, DeviceRun):
    """A slot's streamed step on a device: one graph a part, put there whole, with an event after each.

    Where the chain is not captured, a worker puts it there: a backend may hold its thread until a stage has run.

    Args:
        worker: what runs functions in order: it has ``submit``.
        chain, slot, way: what runs.
    """

    def __init__(self, worker: Any, chain: Chain, slot: int, way: str) -> None:
        _Chunks.__init__(self, chain, slot, way)
        DeviceRun.__init__(self, chain, slot)
        self._seen: dict[int, int] = {}
        self._aside = None if chain.captured else _Aside(worker, chain, slot, way)
        if self._aside is None:
            chain.launch(slot, way)

    @property
    def done(self) -> bool:
        """See `Run.done`."""
        return (self._aside is None or self._aside.future.done()) and super().done

    def wait(self, timeout: float | None) -> bool:
        """See `Run.wait`."""
        if self._aside is None:
            return super().wait(timeout)
        end = None if timeout is None else time.monotonic() + timeout
        try:
            self._aside.future.result(timeout)
        except FutureTimeout:
            return False
        return super().wait(None if end is None else max(0.0, end - time.monotonic()))

    def order(self, handle: int) -> None:
        """See `Run.order`."""
        self.wait_launched()
        super().order(handle)

    def wait_launched(self) -> None:
        """Wait until nothing more of it is put onto the device, whatever became of that."""
        if self._aside is not None:
            with suppress(Exception):  # what went wrong is its handle's to say
                self._aside.future.result()

    def when_off(self, then: Callable[[], None]) -> None:
        """Call something when nothing more of it is put onto the device, whatever became of that; at once where nothing is."""
        if self._aside is None:
            then()
        else:
            self._aside.future.add_done_callback(lambda _: then())

    def wait_chunk(self, chunk: int) -> int:
        """See `StreamRun.wait_chunk`; the moment is that of the first call that waited."""
        part = chunk + _BEFORE
        if self._aside is not None:
            self._aside.wait(part)
        self._slot.part_done[part].synchronize()
        return self._seen.setdefault(chunk, time.monotonic_ns())

    def view(self, chunk: int, name: str) -> Any:
        """See `StreamRun.view`: a `DeviceArray`."""
        from videoscene_rt.engines.cuda.array import DeviceArray

        place, chain = self._slot, self._chain
        view = part_of(chain.view(name, self.slot), (slice(*self.spans[chunk]),))
        made: Any = place.part_done[chunk + _BEFORE]
        device: Any = chain.device
        stream: Any = chain.lanes[0]
        return view.owner if device.kind == "cpu" else DeviceArray(device, view, made, stream, place.readers.take)

    def order_chunk(self, chunk: int, handle: int) -> None:
        """See `StreamRun.order_chunk`."""
        part = chunk + _BEFORE
        if self._aside is not None:
            self._aside.wait(part)
        self._chain.downloads.order_after(self._slot.part_done[part], handle)

    def cancel(self) -> None:
        """What was launched runs to its end; the slot's next step comes after it."""
        if self._aside is not None:
            self._aside.cancel()

    @property
    def first_frames_ns(self) -> int | None:
        """When the first frames were seen, on the host's monotonic clock."""
        return self._seen.get(0)

    @property
    def times(self) -> Times:
        """Milliseconds on the device from the first stage: to the decoder ("before_decoder"), to the first frames, to the end ("chain")."""
        elapsed, slot = self._chain.device.elapsed_ms, self._slot
        before, first = slot.part_done[:2]
        return {
            "before_decoder": elapsed(slot.begin, before),
            "first_frames": elapsed(slot.begin, first),
            **super().times,
        }


class HostStreamRun(_Chunks, HostRun):
    """A slot's streamed step on a thread of the host.

    Args:
        worker, chain, slot, way: see `DeviceStreamRun`.
    """

    def __init__(self, worker: Any, chain: Chain, slot: int, way: str) -> None:
        _Chunks.__init__(self, chain, slot, way)
        self._aside = _Aside(worker, chain, slot, way)
        HostRun.__init__(self, self._aside.future)

    def wait_chunk(self, chunk: int) -> int:
        """See `StreamRun.wait_chunk`; the moment is the one at which the chunk had run."""
        return self._aside.wait(chunk + _BEFORE)

    def view(self, chunk: int, name: str) -> Any:
        """See `StreamRun.view`: NumPy's."""
        return self.host(chunk, name)

    def order_chunk(self, chunk: int, handle: int) -> None:
        """The host has no streams: it waits here."""
        self.wait_chunk(chunk)

    def cancel(self) -> None:
        """The part that runs is the last one."""
        self._aside.cancel()

    @property
    def first_frames_ns(self) -> int | None:
        """When the first frames were ready, on the host's monotonic clock."""
        moments = self._aside.moments
        return moments[_BEFORE] if len(moments) > _BEFORE else None
