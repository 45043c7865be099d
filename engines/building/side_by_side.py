"""Several pieces of work at a time; the first that fails ends the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")

Wanted = Callable[[], None]
"""Raises `StoppedError` where a piece of work is not wanted any more; called by it every second or so."""


class StoppedError(Exception):
    """Another piece of work failed, or the user interrupted. It never reaches the caller."""


def side_by_side(work: Sequence[Callable[[Wanted], T]], jobs: int) -> list[T]:
    """Do all of it, at most ``jobs`` at a time, each in a thread; with one, here and in order.

    When one fails, or this thread is interrupted, those that run are told through `Wanted` and waited for, and the rest never begin.

    Args:
        work: each is given its `Wanted`.
        jobs: at least 1.

    Returns:
        What each gave, in order.

    Raises:
        Exception: what the first one that failed raised.
    """
    stop = threading.Event()

    def wanted() -> None:
        if stop.is_set():
            raise StoppedError

    if jobs == 1:
        return [piece(wanted) for piece in work]
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(piece, wanted) for piece in work]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]
