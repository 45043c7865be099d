"""The logger that TensorRT writes to: its words are kept, and its last errors are the reason of a refusal."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any

_KEPT = 2000
_IMPORTANT = ("INTERNAL_ERROR", "ERROR")
_LEVELS = (*_IMPORTANT, "WARNING", "INFO")
_REASON_LINES = 3
_REASON_LENGTH = 600
_PREFIX = re.compile(r"^(\[?\w+\.(cpp|h)::\w+::\d+\]|\w+\.cpp:\d+:)\s*")
_NOISE = re.compile(
    r"^(While parsing node number|--- (Begin|End) node|Node name:|\s*(input|output|name|op_type|attribute):)"
)


def make_log(module: Any, tell: Callable[[str, str], None] | None = None) -> Any:
    """A logger for one TensorRT: an instance of its ILogger with `messages` and `errors(since)`.

    TensorRT keeps a pointer to the first logger of a process, so this one has to outlive everything that was made with it.

    Args:
        module: tensorrt or tensorrt_rtx.
        tell: called with severity and text of every message from INFO up.
    """

    class Log(module.ILogger):  # type: ignore[misc]  # the base class is known at run time alone
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.messages: deque[tuple[int, str, str]] = deque(maxlen=_KEPT)
            self.count = 0

        def log(self, severity: Any, text: str) -> None:
            level = str(severity).rpartition(".")[2]
            if level not in _LEVELS:
                return
            self.count += 1
            self.messages.append((self.count, level, text))
            if tell is not None:
                tell(level, text)

        def errors(self, since: int = 0) -> list[str]:
            """Texts of the errors after the first ``since`` messages."""
            return [text for number, level, text in self.messages if number > since and level in _IMPORTANT]

    return Log()


def reason(errors: list[str]) -> str:
    """One line out of error messages: the last few, without source positions, repetitions and dumps of nodes; "" if there are none."""
    lines: dict[str, None] = {}
    for text in errors:
        line = _PREFIX.sub("", text).strip().replace("\n", " ")
        if line and not _NOISE.match(line):
            lines.pop(line, None)
            lines[line] = None
    joined = "; ".join(list(lines)[-_REASON_LINES:])
    return joined if len(joined) <= _REASON_LENGTH else f"{joined[:_REASON_LENGTH]}…"
