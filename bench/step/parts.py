"""A measurement part by part: what goes wrong in one is written down, and the others go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from videoscene_rt.engines.errors import VsrtError

Tell = Callable[[str], None]


class Parts:
    """The parts of one measurement, in turn.

    Args:
        tell: told what comes now.
        keep: called after each part, so that what has been found is on disk whatever becomes of the process.

    Attributes:
        failures: why there is nothing of a part, in a line, by part.
        traces: the same in full, for whoever has to find out.
        under_way: the part that runs now; "" before the first and when all are done.
    """

    def __init__(self, tell: Tell, keep: Callable[[], None]) -> None:
        self.failures: dict[str, str] = {}
        self.traces: dict[str, str] = {}
        self.under_way = ""
        self._tell = tell
        self._keep = keep

    def run(self, name: str, work: Callable[[], None], wanted: bool = True) -> None:
        """Run a part, if it is wanted; whatever it raises but an interruption is a failure of it alone.

        Args:
            name: what it is.
            work: the part; it writes down what it finds by itself.
            wanted: whether it was asked for.
        """
        self._tell(name if wanted else f"no {name}")
        if not wanted:
            return
        self.under_way = name
        try:
            work()
        except Exception as error:  # a part that fails in a way nobody thought of must not take the others with it
            self.failed(name, words(error), traceback.format_exc())
        self._keep()

    def failed(self, name: str, why: str, trace: str = "") -> None:
        """Write down that there is nothing, or not all, of a part.

        Args:
            name: the part. why: in a line. trace: in full.
        """
        self.failures[name] = why
        self.traces[name] = trace or why

    def over(self) -> None:
        """All parts are done."""
        self.under_way = ""


def words(error: BaseException) -> str:
    """An error in a line: the problem of one of ours; else its kind, and the first line of what it says."""
    if isinstance(error, VsrtError):
        return " ".join(error.problem.split())
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
