"""A thread that runs what it is given, in order. It never keeps the process from ending for long, whatever hangs in it."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, NoReturn
from weakref import WeakSet, finalize

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.threads import start_daemon

_Task = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]
_PATIENCE_S = 10.0
"""How long a process that ends waits for what its workers are doing."""


class Worker:
    """One daemon thread, begun with the first task.

    A process that ends lets the task under way come to its end, for at most some seconds, and fails what waits behind it. Without that
    the interpreter unwinds a thread that comes back from native code too late, which in C++ ends the process with SIGABRT.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._state = _State()
        finalize(self, self._tasks.put, None).atexit = False  # where nobody shuts it down, its thread ends with it

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run something after everything that was submitted before. One thread at a time may call this."""
        if self._thread is None:
            # Where it fails, the next task tries again.
            self._thread = start_daemon(_serve, self._name, self._tasks, self._state)
            self._state.thread = self._thread
            _AT_WORK.add(self._state)
        future: Future[Any] = Future()
        self._tasks.put((future, function, arguments))
        return future

    def shutdown(self) -> None:
        """The thread ends when it has done what it was given; nobody waits for that."""
        self._tasks.put(None)


class _State:
    """Whether a worker's thread is at work, and whether it may begin something."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.idle = threading.Event()
        self.idle.set()
        self.leaving = False


_AT_WORK: WeakSet[_State] = WeakSet()
"""Of every worker whose thread lives: the thread holds its own."""


def _serve(tasks: SimpleQueue[_Task | None], state: _State) -> None:
    while True:
        task = tasks.get()
        if task is None:
            return
        state.idle.clear()  # and then look at `leaving`: who has set it and finds the thread idle knows that nothing begins any more
        future, function, arguments = task
        try:
            future.set_result(_refuse() if state.leaving else function(*arguments))
        except BaseException as error:  # whatever it is, whoever asks for the result gets it
            future.set_exception(error)
        del task, future, function, arguments  # or the last step would live until the next one
        state.idle.set()


def _refuse() -> NoReturn:
    raise BackendError("the process is ending, no step begins any more", "close the pipeline before it ends")


@atexit.register
def _let_end() -> None:
    until = time.monotonic() + _PATIENCE_S
    states = list(_AT_WORK)
    for state in states:
        state.leaving = True
    for state in states:
        if state.thread is not None and state.thread.is_alive():  # none is in a process that was forked
            state.idle.wait(max(0.0, until - time.monotonic()))
