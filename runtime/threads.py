"""Starting a thread without waiting for ever for one that there was no memory for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

_PATIENCE_S = 10.0


def start_daemon(target: Callable[..., Any], name: str, *arguments: Any) -> threading.Thread:
    """A thread that has begun; it does not keep the process from ending.

    ``Thread.start`` waits for the thread to say that it has begun. Where memory ends between the system's making it and Python's
    beginning it, CPython (3.11) waits for ever; here that ends after some seconds.

    Raises:
        RuntimeError: "can't start new thread", as the interpreter says it.
    """
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    begun: Any = getattr(thread, "_started", None)
    if begun is not None:
        wait = begun.wait
        begun.wait = lambda timeout=None: wait(_PATIENCE_S if timeout is None else timeout)
    thread.start()
    if thread.ident is None:
        raise RuntimeError("can't start new thread")
    return thread
