"""How far a build is, told as one line and one number while several graphs are worked on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

OnProgress = Callable[[str, float], None]
"""Called with what is being done, and how many graphs are done (the whole step counts as one; parts of one are fractions)."""


class BuildProgress:
    """What is being done with each graph. Several threads may tell.

    Args:
        graphs: their names.
        tell: one thread at a time calls it.
    """

    def __init__(self, graphs: Iterable[str], tell: OnProgress) -> None:
        self._tell = tell
        self._parts = dict.fromkeys(graphs, 0.0)
        self._doing: dict[str, str] = {}
        self._lock = threading.Lock()

    def at(self, graph: str, words: str, part: float) -> None:
        """``words`` is being done with a graph, and ``part`` (0 to 1) of all that is to do with it is done."""
        with self._lock:
            self._doing[graph] = words
            self._parts[graph] = max(self._parts[graph], min(part, 1.0))
            self._report(", ".join(f"{name}: {doing}" for name, doing in self._doing.items()))

    def leave(self, graph: str, part: float) -> None:
        """For now, nothing more is being done with a graph."""
        with self._lock:
            self._doing.pop(graph, None)
            self._parts[graph] = max(self._parts[graph], part)

    def say(self, words: str) -> None:
        """Something that is of no single graph."""
        with self._lock:
            self._report(words)

    def _report(self, words: str) -> None:
        self._tell(words, sum(self._parts.values()))
