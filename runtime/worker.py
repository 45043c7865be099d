"""A thread that runs what it is given, in order. It never keeps the process from ending, whatever hangs in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from videoscene_rt.threads import start_daemon

_Task = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Worker:
    """One daemon thread, begun with the first task.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run something after everything that was submitted before. One thread at a time may call this."""
        if self._thread is None:
            self._thread = start_daemon(_serve, self._name, self._tasks)  # where it fails, the next task tries again
        future: Future[Any] = Future()
        self._tasks.put((future, function, arguments))
        return future

    def shutdown(self) -> None:
        """The thread ends when it has done what it was given; nobody waits for that."""
        self._tasks.put(None)


def _serve(tasks: SimpleQueue[_Task | None]) -> None:
    while True:
        task = tasks.get()
        if task is None:
            return
        future, function, arguments = task
        try:
            future.set_result(function(*arguments))
        except BaseException as error:  # whatever it is, whoever asks for the result gets it
            future.set_exception(error)
        del task, future, function, arguments  # or the last step would live until the next one
