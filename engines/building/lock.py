"""One build at a time in one bundle. The lock dies with its holder, so a build that was killed blocks nobody."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from videoscene_rt.engines.errors import BackendError

_LOCK, _HOLDER = ".lock", ".holder.json"
_PATIENCE_S = 0.2


@contextmanager
def build_lock(folder: Path, timeout_s: float, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of ``folder`` (the store's, which exists).

    Args:
        folder: where the lock lies.
        timeout_s: how long to wait for another build.
        on_wait: told once, in words, who is waited for.

    Raises:
        BackendError: another build holds it for longer; its process is named.
    """
    lock = FileLock(folder / _LOCK, mode=0o600)
    try:
        lock.acquire(timeout=min(_PATIENCE_S, timeout_s))
    except Timeout:
        if on_wait is not None:
            on_wait(f"waiting for {_holder(folder)}")
        try:
            lock.acquire(timeout=max(0.0, timeout_s - _PATIENCE_S))
        except Timeout:
            raise BackendError(
                f"{_holder(folder)} is building engines in {folder} and has not finished within {timeout_s:g} s",
                "wait for it, or end that process",
            ) from None
    try:
        _announce(folder)
        yield
    finally:
        with suppress(OSError):  # the lock is let go whatever lies there
            (folder / _HOLDER).unlink()
        lock.release()


def _announce(folder: Path) -> None:
    path = folder / _HOLDER
    path.unlink(missing_ok=True)
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%H:%M:%S")})
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)


def _holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        return f"process {int(holder['pid'])} on {holder['host']} (since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
