"""Commands in processes of their own that begin at once: a child that has imported everything forks for each of them.

Every command runs under limits of memory, file size and time, so that a test may feed it what is meant to break it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 60.0
MEMORY_MIB = 2048
_ENDING_S = 120
"""How long the child may take to end: it has torch to take down, beside whatever else the machine does."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        out, err: what it wrote.
        seconds: on the wall's clock.
        peak_mib: the largest resident memory beyond what it began with, MiB.
    """

    code: int
    out: str
    err: str
    seconds: float
    peak_mib: float

    @property
    def refused(self) -> bool:
        """Exit code 2 or 3, and one line that says why, at most one more that says what to do."""
        lines = self.err.strip().splitlines()
        said = [line for line in lines if line.startswith("error: ")]
        after = lines[lines.index(said[0]) + 1 :] if said else []
        return (
            self.code in (2, 3)
            and len(said) == 1
            and "Traceback" not in self.err
            and all(line.startswith("  → ") for line in after)
            and len(after) <= 1
        )


class Nursery:
    """The child that forks. Use it in a ``with`` statement."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.support.nursery_child"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def vsrt(self, *arguments: object, **limits: Any) -> Ended:
        """Run a ``vsrt`` command; limits as in `call`."""
        return self.call("tests.support.nursery_child:vsrt", [str(argument) for argument in arguments], **limits)

    def call(
        self,
        function: str,
        argument: Any,
        *,
        memory_mib: int = MEMORY_MIB,
        file_bytes: int | None = None,
        kill_after_s: float | None = None,
        timeout_s: float = TIMEOUT_S,
        environment: dict[str, str] | None = None,
    ) -> Ended:
        """Run ``module:function`` on an argument.

        Args:
            function: returns an exit code.
            argument: anything that JSON has.
            memory_mib: address space beyond what the child has.
            file_bytes: the largest file it may write; None for no limit.
            kill_after_s: SIGKILL at that time.
            timeout_s: SIGKILL at that time, and an error here.
            environment: more variables.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        told = {
            "function": function,
            "argument": argument,
            "memory_mib": memory_mib,
            "file_bytes": file_bytes,
            "kill_after_s": kill_after_s,
            "timeout_s": timeout_s,
            "environment": environment or {},
        }
        self._child.stdin.write(json.dumps(told) + "\n")
        self._child.stdin.flush()
        answer = json.loads(self._child.stdout.readline())
        assert not answer.pop("timed_out"), (
            f"{function} {argument} has not ended within {timeout_s} s: {answer['err'][-3000:]}"
        )
        return Ended(**answer)

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(_ENDING_S)
