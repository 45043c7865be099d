"""Others' streams that read a slot's results: the slot's next step waits for them, and never touches one that may be gone."""

from __future__ import annotations

import logging
import threading
from typing import Any

from videoscene_rt.engines.device import Device, Event, Stream

_LOG = logging.getLogger("videoscene_rt")
_UNKNOWN = (
    "an array was taken through DLPack for a stream of which nobody says how long it lives: the next step in its place does not wait for "
    "what that stream reads; say when it has been given its work: handle.release(after=stream), result.read_by(stream)"
)


class Readers:
    """Who reads one slot's results.

    Args:
        device: the chain's.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._kept: dict[int, Any] = {}
        self._marks: list[Event] = []
        self._spare: list[Event] = []
        self._told = False

    def take(self, handle: int, owner: Any | None) -> None:
        """A stream was given a result through DLPack; it is waited for with everything that it has when the next step begins.

        Args:
            handle: of the stream.
            owner: kept until then, and the stream with it; None if nobody knows one. Such a stream is not waited for, which is said once.
        """
        with self._lock:
            if owner is not None:
                self._kept[handle] = owner
                return
            told, self._told = self._told, True
        if not told:
            _LOG.warning("%s", _UNKNOWN)

    def mark(self, handle: int) -> None:
        """The next step waits for what a stream has now; it may be destroyed afterwards.

        Args:
            handle: of a stream that is alive.

        Raises:
            BackendError: the driver refuses it.
        """
        with self._lock:
            event = self._spare.pop() if self._spare else self._device.event()
            self._device.record(handle, event)
            self._marks.append(event)

    def order(self, before: Stream) -> None:
        """Make a stream wait for all of them, and forget them."""
        with self._lock:
            kept, self._kept = self._kept, {}
            marks, self._marks = self._marks, []
            for event in marks:
                before.wait(event)
            self._spare += marks
            for handle in kept:
                self._device.order(handle, before=before.handle)
