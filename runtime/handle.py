"""A submitted step: it runs while the caller goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol

from videoscene_rt.engines.arguments import is_number
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.result import Result

_POLL_S = 50e-6
_LONGEST_S = 1e9


class Run(Protocol):
    """A step under way."""

    @property
    def done(self) -> bool:
        """Whether it has ended."""

    def wait(self, timeout: float | None) -> bool:
        """Wait for its end, at most so many seconds; whether it ended. What went wrong in it is raised here."""

    def order(self, handle: int) -> None:
        """Make a stream wait for it."""


class Lifetime:
    """Whether a handle was released; results hold this, not the handle, which holds them."""

    released = False


class Handle:
    """One submitted step. Its slot is its own until `release`, which a ``with`` statement calls.

    Args:
        run: the step.
        collect: makes its result, when it has ended.
        release: gives its slot back; told the handle of a stream that still reads the results, or None.
    """

    def __init__(self, run: Run, collect: Callable[[Handle], Result], release: Callable[[int | None], None]) -> None:
        self._run = run
        self._collect = collect
        self._release = release
        self._result: Result | None = None
        self._once = threading.Lock()  # a result is made, and counted, once, whoever asks
        self.lifetime = Lifetime()

    @property
    def released(self) -> bool:
        """Whether its slot was given back."""
        return self.lifetime.released

    @property
    def run(self) -> Run:
        """The step."""
        return self._run

    @property
    def done(self) -> bool:
        """Whether the step has ended."""
        return self._run.done

    def result(self, timeout: float | None = None) -> Result:
        """The step's result, when it has ended; valid until the handle is released.

        Args:
            timeout: seconds to wait at most; None waits as long as it takes.

        Raises:
            InputError: the handle was released before, or the timeout is no number.
            BackendError: the step failed, or has not ended in time.
        """
        timeout = checked_timeout(timeout)
        if self._result is None:
            if self.released:
                raise InputError("the handle was released before its result was read", "read the result first")
            if not self._run.wait(timeout):
                raise BackendError(f"the step has not ended within {timeout} s")
        with self._once:
            if self._result is None:
                self._result = self._collect(self)
            return self._result

    def settle(self) -> None:
        """Wait until the step has ended, whatever became of it."""
        with suppress(Exception):
            self._run.wait(None)

    def wait_on(self, stream: Any) -> None:
        """Make a stream of yours wait for the step, instead of the host.

        Args:
            stream: its handle, or an object with ``__cuda_stream__`` (cuda.core), ``cuda_stream`` (torch) or ``ptr`` (CuPy).
        """
        self._run.order(stream_handle(stream))

    def release(self, after: Any = None) -> None:
        """Give the slot back, without waiting; the result is no longer to be had. On the CPU the slot is free when the step has ended. A
        second time does nothing.

        Args:
            after: a stream of yours that still reads the results: the slot's next step waits for what it has now. It may be destroyed
                afterwards. See docs/embedding.md for which streams need it.
        """
        if not self.released:
            self.lifetime.released = True
            self._release(None if after is None else stream_handle(after))

    def __enter__(self) -> Handle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def checked_timeout(seconds: float | None) -> float | None:
    """A timeout: None or a number of seconds; one below 0 is over at once.

    Raises:
        InputError: it is something else, or beyond what a thread can wait for.
    """
    if seconds is not None and not (is_number(seconds) and -_LONGEST_S <= seconds <= _LONGEST_S):
        raise InputError(f"timeout must be seconds, at most {_LONGEST_S:,.0f}, or None, not {seconds!r}")
    return None if seconds is None else float(seconds)


def stream_handle(stream: Any) -> int:
    """The driver's handle of a stream: a number, or an object of cuda.core, torch or CuPy.

    Raises:
        BackendError: it is none of these.
    """
    if isinstance(stream, int):
        return stream
    if hasattr(stream, "__cuda_stream__"):
        return int(stream.__cuda_stream__()[1])
    for attribute in ("cuda_stream", "ptr", "handle"):
        if hasattr(stream, attribute):
            return int(getattr(stream, attribute))
    raise BackendError(f"{type(stream).__name__} is no CUDA stream", "give its handle as a number")


def wait_until(done: Callable[[], bool], timeout: float) -> bool:
    """Poll until something is so, at most so many seconds; whether it became so."""
    end = time.monotonic() + timeout
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_S)
    return True
