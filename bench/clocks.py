"""Whether the host's clock can be believed: three clocks of the same machine must have seen the same time pass.

Latencies are taken on the monotonic clock. Linux has two more that count the same seconds: one that nobody slews, and one that goes
on while the machine sleeps. Where they part, a latency may hold a jump or a sleep, and the measurement is not worth keeping.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from videoscene_rt.engines.errors import BackendError

_NAMES = {
    "monotonic": "CLOCK_MONOTONIC",
    "raw": "CLOCK_MONOTONIC_RAW",
    "boot": "CLOCK_BOOTTIME",
}
_WORDS = {"raw": "was set or slewed", "boot": "stood still while the machine slept"}
_SHARE, _LEAST_S = 0.001, 0.005
"""The clocks may part by a thousandth (NTP slews by half of that at most) and by 5 ms, whichever is more."""

Readings = Mapping[str, float]


def read_clocks() -> dict[str, float]:
    """Seconds by clock, of those that this system has."""
    return {
        name: time.clock_gettime(getattr(time, constant))
        for name, constant in _NAMES.items()
        if hasattr(time, constant)
    }


class ClockWatch:
    """Watches the clocks from when it is made.

    Args:
        read: gives seconds by clock.
    """

    def __init__(self, read: Callable[[], Readings] = read_clocks) -> None:
        self._read = read
        self._begin = read()

    def check(self) -> None:
        """Look at the clocks again.

        Raises:
            BackendError: the monotonic clock ran backwards, or another clock has seen another time pass.
        """
        now = self._read()
        passed = {name: now[name] - begin for name, begin in self._begin.items() if name in now}
        if "monotonic" not in passed:
            return
        mine = passed["monotonic"]
        if mine < 0:
            raise BackendError(f"the clock jumped back by {-mine:.3f} s while it was measured", _AGAIN)
        allowed = max(_LEAST_S, _SHARE * mine)
        for name, words in _WORDS.items():
            gap = passed.get(name, mine) - mine
            if abs(gap) > allowed:
                raise BackendError(f"the clock jumped: it {words}, by {abs(gap):.3f} s in {mine:.1f} s", _AGAIN)


_AGAIN = "measure again, on a machine left alone"
