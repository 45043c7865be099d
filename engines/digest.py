"""SHA-256 of files and of data, the way the manifest writes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

_CHUNK = 1 << 20


def file_sha256(path: Path, on_read: Callable[[int], None] | None = None) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces of 1 MiB; ``on_read`` is told the size of each."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            if on_read is not None:
                on_read(len(piece))
    return digest.hexdigest()


def text_sha256(lines: Iterable[str]) -> str:
    """Hex SHA-256 of lines of text, each ended by a newline."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()
