"""Which slots are free: taken by a step, given back by its handle."""

from __future__ import annotations

import threading

from videoscene_rt.engines.errors import BackendError


class SlotPool:
    """The numbers of the free slots; the one that has been free for longest is taken first.

    Args:
        count: slots 0 … count − 1.
    """

    def __init__(self, count: int) -> None:
        self._free = list(range(count))
        self._changed = threading.Condition()

    def take(self, timeout: float | None) -> int:
        """A free slot, which is then the caller's.

        Args:
            timeout: seconds to wait for one; None waits for as long as it takes.

        Raises:
            BackendError: none became free in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._free, timeout):
                raise BackendError(
                    f"every slot is held by a handle that was not released within {timeout:g} s",
                    "release handles when their results are read: with pipeline.submit(scene) as handle: …",
                )
            return self._free.pop(0)

    def give(self, slot: int) -> None:
        """Give a slot back."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify()
