"""SHA-256 of files and of data, the way the manifest writes it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

_PIECE = 1 << 23
"""Large, because after each piece a thread waits for Python's lock: up to 5 ms while another one imports modules."""


def file_sha256(path: Path, on_read: Callable[[int], None] | None = None) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces of at most 8 MiB; ``on_read`` is told the size of each."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(min(_PIECE, max(1, os.fstat(file.fileno()).st_size)))
        view = memoryview(buffer)
        while count := file.readinto(buffer):
            digest.update(view[:count])
            if on_read is not None:
                on_read(count)
    return digest.hexdigest()


def text_sha256(lines: Iterable[str]) -> str:
    """Hex SHA-256 of lines of text, each ended by a newline."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()
