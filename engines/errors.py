"""What can go wrong, by whose fault it is; the command line turns each into its exit code."""

from __future__ import annotations


class VsrtError(Exception):
    """Base of every error this project raises on purpose.

    Args:
        problem: one line: what is wrong and where.
        remedy: one line: what to do about it, if we know.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str | None = None) -> None:
        super().__init__(problem if remedy is None else f"{problem}\n{remedy}")
        self.problem = problem
        self.remedy = remedy


class InputError(VsrtError, ValueError):
    """The caller's input (a file, an array, an option) is wrong. Exit code 2."""

    exit_code = 2


class BackendError(VsrtError, RuntimeError):
    """A backend, an engine or a device is missing or cannot do what was asked. Exit code 3."""

    exit_code = 3
