"""A time limit for something that looks at no clock: a compiler, a long loop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeIsUp(BaseException):
    """The limit has come. No Exception, so that nobody on the way takes it for a failure of his own and goes on."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `TimeIsUp` inside after some seconds, as soon as Python runs an instruction; a call into C is waited for.

    In another thread than the main one, and on a system without alarms, there is no limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp(f"took more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
