"""Taking a lock for a step that may have a deadline: nobody waits for it longer than for the coarse frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.split_run import Deadline

Lock = Any
"""`threading.Lock` or `threading.RLock`, which are functions to a type checker."""


@contextmanager
def turn(lock: Lock, deadline: Deadline | None, grace_s: float) -> Iterator[None]:
    """Hold a lock; for a step with a deadline wait for it until some time after that and no longer.

    Args:
        lock: which.
        deadline: of the step; None waits for as long as it takes.
        grace_s: how long after the deadline.

    Raises:
        BackendError: whoever holds it has not let it go in time.
    """
    longest = -1.0 if deadline is None else min(deadline.left_s + grace_s, threading.TIMEOUT_MAX)
    if not lock.acquire(timeout=longest):
        assert deadline is not None
        raise too_late(
            deadline,
            "another call held the pipeline until then: give every step a deadline, and see what waits in docs/reliability.md",
        )
    try:
        yield
    finally:
        lock.release()


def too_late(deadline: Deadline, remedy: str) -> BackendError:
    """What a step ends in whose deadline is over with nothing to show."""
    return BackendError(
        f"{(time.monotonic() - deadline.at) * 1e3:.0f} ms after the deadline not even the coarse frames were there",
        remedy,
    )
