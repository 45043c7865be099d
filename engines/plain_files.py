"""Reading files that somebody else wrote: plain files alone, never a link, a pipe or a device, and never more than asked for."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotPlainError(OSError):
    """What has the name is no plain file. Its ``strerror`` says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(0, "not a plain file", str(path))


def read_plain(path: Path, limit: int) -> bytes:
    """The bytes of a plain file, at most ``limit`` and one more.

    Raises:
        FileNotFoundError: there is none.
        NotPlainError: it is a link, a folder, a pipe or a device.
        OSError: it cannot be read.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise NotPlainError(path)
    # It may have become something else since: a link is not followed, and a pipe is not waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotPlainError(path)
        return file.read(min(limit, status.st_size) + 1)  # memory is taken for as much as is asked for
