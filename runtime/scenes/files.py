"""Opening input files so that every failure is an InputError that names the file."""

from __future__ import annotations

from pathlib import Path

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.words import one_line


def regular_file(path: str | Path) -> Path:
    """``path``, if it is a regular file (a pipe or a device could block or never end); InputError otherwise."""
    path = Path(path)
    try:
        if path.is_file():
            return path
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error
    if not exists:
        raise InputError(f"{path}: no such file")
    raise InputError(f"{path}: not a regular file")


def read_bytes(path: Path, limit: int) -> bytes:
    """The whole file, at most ``limit`` bytes; InputError if it is larger or cannot be read."""
    regular_file(path)
    try:
        if path.stat().st_size > limit:
            raise InputError(f"{path}: larger than {limit:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The system's words for an error, without the path (which the message already names)."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(str(error)) or type(error).__name__
