"""What each error becomes: an exit code, and one or two lines that say what is wrong and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from videoscene_rt.engines.errors import VsrtError

DONE, DEFECT, INPUT, BACKEND = 0, 1, 2, 3
INTERRUPTED, READER_GONE, TERMINATED = 130, 141, 143
"""As a shell counts a process ended by SIGINT, by SIGPIPE, by SIGTERM."""

# typer brings its own copy of click since 0.2x and takes the installed one before; both have this line of ancestors.
_UsageError, _ClickException = typer.BadParameter.__mro__[1:3]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NAMED_BADLY = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)


@dataclass(frozen=True)
class Outcome:
    """An exit code, and what to say: nothing, the problem, or the problem and the remedy."""

    code: int
    problem: str = ""
    remedy: str = ""


def outcome(error: BaseException, arguments: Sequence[str] = ()) -> Outcome | None:
    """What the command line makes of an error; None if it is a defect of ours.

    Args:
        error: what a command raised.
        arguments: the command line. A missing file that it names is the user's; any other one is ours.
    """
    if isinstance(error, VsrtError):
        return Outcome(error.exit_code, error.problem, error.remedy or "")
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return Outcome(INTERRUPTED, "interrupted")
    if isinstance(error, typer.Exit):
        return Outcome(error.exit_code)
    if isinstance(error, SystemExit):
        return _of_exit(error)
    if isinstance(error, BrokenPipeError):
        return Outcome(READER_GONE)
    if isinstance(error, _ClickException):
        return _of_usage(error)
    if isinstance(error, MemoryError):
        detail = f": {error}" if str(error) else ""
        return Outcome(BACKEND, f"out of memory{detail}", "use a smaller preset or fewer points, or free some memory")
    if isinstance(error, OSError):
        return _of_system(error, arguments)
    return None


def _of_exit(error: SystemExit) -> Outcome:
    if error.code == TERMINATED:
        return Outcome(TERMINATED, "terminated")
    if error.code is None or isinstance(error.code, int):
        return Outcome(error.code or DONE)
    return Outcome(DEFECT, str(error.code))


def _of_usage(error: BaseException) -> Outcome:
    message = str(error.format_message()) if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "vsrt"
    return Outcome(INPUT, message.rstrip("."), f"{command} --help")


def _of_system(error: OSError, arguments: Sequence[str]) -> Outcome | None:
    reason = error.strerror or str(error)
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    if error.errno in _FULL:
        return Outcome(BACKEND, f"{where}{reason}", "free some space, or write somewhere else")
    if error.filename is None:
        return None
    if error.errno in _FORBIDDEN:
        return Outcome(INPUT, f"{where}{reason}", "name a path that this user may use")
    if error.errno in _NAMED_BADLY and _is_named(os.fsdecode(error.filename), arguments):
        return Outcome(INPUT, f"{where}{reason}")
    return None


def _is_named(path: str, arguments: Sequence[str]) -> bool:
    """Whether the command line names this path or a folder above it, as a word or as --option=value."""
    named = {value for argument in arguments for value in (argument, argument.partition("=")[2]) if value}
    whole = os.path.abspath(path)  # noqa: PTH100 - without resolving links
    return any(_is_under(whole, os.path.abspath(value)) for value in named)  # noqa: PTH100


def _is_under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
