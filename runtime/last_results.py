"""Results that stay valid until the next step begins, though nobody gives them back: of `Pipeline.step`, of streams read to their end."""

from __future__ import annotations

import threading

from videoscene_rt.handle import Handle


class LastResults:
    """The handles whose slots such results hold. Safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: list[Handle] = []

    def keep(self, handle: Handle) -> None:
        """A step's result stays until the next one begins."""
        with self._lock:
            self._handles.append(handle)

    def release(self) -> None:
        """Give back the slots: the results end here."""
        with self._lock:
            handles, self._handles = self._handles, []
        for handle in handles:
            handle.release()
