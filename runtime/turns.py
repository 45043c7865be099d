"""Doing something under a lock for a step that may have a deadline: nobody waits for the lock longer than for the coarse frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.split_run import Deadline

T = TypeVar("T")


def in_turn(lock: Any, deadline: Deadline | None, grace_s: float, work: Callable[[], T]) -> T:
    """Do something under a lock; for a step with a deadline wait for the lock until some time after that and no longer.

    Written out, and not as a context manager of Python's own: Ctrl-C between its lines would leave the lock taken for good.

    Args:
        lock: a `threading.RLock` that the calling thread does not hold.
        deadline: of the step; None waits for as long as it takes.
        grace_s: how long after the deadline.
        work: what is done.

    Returns:
        What that gives.

    Raises:
        BackendError: whoever holds the lock has not let it go in time.
    """
    if deadline is None:
        with lock:
            return work()
    try:
        if lock.acquire(timeout=min(deadline.left_s + grace_s, threading.TIMEOUT_MAX)):
            return work()
    finally:
        while lock._is_owned():
            lock.release()
    raise too_late(
        deadline,
        "another call held the pipeline until then: give every step a deadline, and see what waits in docs/reliability.md",
    )


def too_late(deadline: Deadline, remedy: str) -> BackendError:
    """What a step ends in whose deadline is over with nothing to show."""
    return BackendError(
        f"{(time.monotonic() - deadline.at) * 1e3:.0f} ms after the deadline not even the coarse frames were there",
        remedy,
    )
