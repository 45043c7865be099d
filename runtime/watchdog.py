"""The watchdog: a thread of its own that reports steps which do not end, while whoever waits for them can say nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from videoscene_rt.engines.arguments import is_number
from videoscene_rt.engines.errors import InputError
from videoscene_rt.threads import start_daemon

_LOG = logging.getLogger("videoscene_rt")
_LONGEST_S = 1e9
_LOOK_S = 1.0
_NOBODY = -1


@dataclass(frozen=True)
class Hang:
    """A step that has not ended.

    Attributes:
        step: its number.
        seconds: for how long it has run.
        device: on what, as the driver names it.
    """

    step: int
    seconds: float
    device: str

    def __str__(self) -> str:
        return f"step {self.step} has not ended for {self.seconds:.3g} s on {self.device}: the device hangs, or is far too slow"


OnHang = Callable[[Hang], None]


class _Run(Protocol):
    @property
    def done(self) -> bool:
        """Whether it has ended; whatever is raised here is its caller's to see."""


class _Device(Protocol):
    @property
    def name(self) -> str:
        """As the driver names it."""

    def use(self) -> None:
        """Make it the calling thread's."""


class Watched:
    """A step that the watchdog watches, from before it is launched."""

    def __init__(self, step: int, device: _Device) -> None:
        self.step = step
        self.device: _Device | None = device
        self.started = time.monotonic()
        self.run: _Run | None = None
        self.over = False
        self.reported = False

    def end(self) -> None:
        """It has ended, or failed: what it ran on is let go. A second time does nothing."""
        if self.reported and not self.over:
            _LOG.warning("step %d has ended after %.3g s", self.step, time.monotonic() - self.started)
        self.over, self.run, self.device = True, None, None

    def still_runs(self) -> bool:
        """Ask its run, from whatever thread."""
        run, device = self.run, self.device
        if run is not None and device is not None:
            device.use()
            if run.done:
                self.over, self.run, self.device = True, None, None
        return not self.over


def checked_limit(seconds: Any) -> float:
    """A limit in seconds.

    Raises:
        InputError: it is no number above 0, or one beyond what a thread can wait for.
    """
    if not (is_number(seconds) and 0 < seconds <= _LONGEST_S):
        raise InputError(f"hang_s must be seconds above 0 and at most {_LONGEST_S:,.0f}, or None, not {seconds!r}")
    return float(seconds)


class Watchdog:
    """Reports each step that takes longer than a limit, once: a line of the logger ``videoscene_rt``, and a call.

    Args:
        limit_s: seconds.
        on_hang: called on the watchdog's thread.

    Attributes:
        hangs: how many it has reported.
    """

    def __init__(self, limit_s: float, on_hang: OnHang | None = None) -> None:
        self.hangs = 0
        self._limit_s = limit_s
        self._on_hang = on_hang
        self._watched: dict[tuple[int, int], Watched] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = self._left = False

    def watch(self, place: tuple[int, int], step: int, device: _Device) -> Watched:
        """Watch a step; it takes the place of the last one there, whose event its own will use.

        Args:
            place: which pipeline's chain and which slot.
            step: its number.
            device: it runs on.
        """
        watched = Watched(step, device)
        with self._changed:
            self._let_go(place[0])
            if self._thread is None and not self._closed:
                # where it fails, the next step tries again
                self._thread = start_daemon(self._serve, "videoscene_rt watchdog")
            idle = not self._watched
            self._watched[place] = watched
            if idle:
                self._changed.notify()
        return watched

    def close(self) -> None:
        """Watch no more."""
        with self._changed:
            self._closed = True
            self._watched.clear()
            self._changed.notify()

    def leave(self) -> None:
        """Nobody is left who could close it: watch what still runs, which may need what it runs on, and then no more."""
        with self._changed:
            self._left = True
            self._changed.notify()

    def _let_go(self, newest: int) -> None:
        """Forget the ended steps of bundles that were swapped out: each would hold a whole chain until the thread looks again."""
        for place in [place for place in self._watched if place[0] != newest]:
            try:
                runs = self._watched[place].still_runs()
            except Exception:  # a fault of the device: the step's caller is told by its own call
                runs = False
            if not runs:
                del self._watched[place]

    def _serve(self) -> None:
        while True:
            with self._changed:
                if self._left:
                    self._let_go(_NOBODY)
                if self._closed or (self._left and not self._watched):
                    return
                self._watched = {place: each for place, each in self._watched.items() if not each.over}
                running = [each for each in self._watched.values() if not each.reported]
                now = time.monotonic()
                due = [each for each in running if now - each.started >= self._limit_s]
                if not due:
                    first = min((each.started for each in running), default=None)
                    # Reported ones are looked at now and then, so that what they hold is let go when they end.
                    rest = self._limit_s if self._watched else None
                    wait_s = rest if first is None else first + self._limit_s - now
                    self._changed.wait(min(wait_s or _LOOK_S, _LOOK_S) if self._left else wait_s)
                    continue
            for each in due:
                self._look(each)

    def _look(self, watched: Watched) -> None:
        device = watched.device
        try:
            runs = watched.still_runs() and device is not None
        except Exception:  # a fault of the device: the step's caller is told by its own call
            watched.end()
            return
        if not runs:
            return
        watched.reported = True
        self.hangs += 1
        hang = Hang(watched.step, time.monotonic() - watched.started, "" if device is None else device.name)
        _LOG.error("%s", hang)
        if self._on_hang is not None:
            try:
                self._on_hang(hang)
            except Exception:  # the caller's own: it must not end the watching
                _LOG.exception("on_hang failed")
