"""A mailbox of one: whoever is slow finds the newest message, not the oldest."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds one message between threads; a newer one takes the place of one that nobody took, which is counted as dropped."""

    def __init__(self) -> None:
        self.produced = self.dropped = 0
        self._message: T | None = None
        self._closed = False
        self._error: Exception | None = None
        self._changed = threading.Condition()

    def put(self, message: T) -> None:
        """Leave a message; never waits for a reader."""
        with self._changed:
            self.produced += 1
            self.dropped += self._message is not None
            self._message = message
            self._changed.notify()

    def close(self, error: Exception | None = None) -> None:
        """No further message comes; ``error`` is why, if that is a failure."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    def take(self, wait: bool = True) -> T | None:
        """The newest message, once. None if there is none and none will come, or there is none yet and it shall not wait for one.

        Raises:
            Exception: what the mailbox was closed with.
        """
        with self._changed:
            self._changed.wait_for(lambda: not wait or self._closed or self._message is not None)
            if self._error is not None:
                raise self._error
            message, self._message = self._message, None
            return message
