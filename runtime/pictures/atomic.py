"""Writing a file so that its name only ever holds a whole one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from videoscene_rt.engines.errors import InputError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """``with replacing(path) as temporary:`` write to ``temporary``; at the end it takes the name ``path``.

    What was there is replaced. The temporary file stands in the same folder, is there already (empty, with the permissions
    that the umask gives), and is removed if anything fails.

    Raises:
        InputError: the folder is missing or cannot be written, or ``path`` is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{target} is a folder; a file was to be written there")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.touch(exist_ok=False)
    except FileNotFoundError as error:
        raise InputError(f"{target} cannot be written: the folder {target.parent} does not exist") from error
    except (PermissionError, NotADirectoryError) as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
