"""What the system refuses while engines are built: a full disk, a folder that cannot be written, memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from videoscene_rt.engines.errors import BackendError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP)
"""Something else has the name of a file or a folder of the store's."""


@contextmanager
def system_errors(folder: Path) -> Iterator[None]:
    """Turn the system's refusals into BackendError; what was built before stays, and the same build goes on from there.

    Args:
        folder: the store's, which is written to.
    """
    try:
        yield
    except MemoryError as error:
        raise BackendError("out of memory while building engines", "end what else uses memory, or --jobs 1") from error
    except OSError as error:
        named = error.filename2 or error.filename  # of a rename the target: that is what is in the way
        where = folder if named is None else os.fsdecode(named)
        raise BackendError(f"{where}: {error.strerror or error}", _remedy(error.errno)) from error


def _remedy(number: int | None) -> str | None:
    if number in FULL:
        return "free some space; the same command goes on where it was"
    if number in FORBIDDEN:
        return "build where the bundle can be written, and copy it"
    if number in IN_THE_WAY:
        return "remove it, and build again"
    return None
