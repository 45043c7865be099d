"""A process that is forked has memory of a pipeline, and none of the threads and nothing of the device that it needs: it is told so.

The objects themselves stay untouched there for good: a destructor would wait for threads that are not, or free what the parent uses.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any

from videoscene_rt.engines.errors import BackendError

_GUARDED: weakref.WeakSet[Any] = weakref.WeakSet()
_REGISTERED: list[bool] = []
_LEFT_ALONE = ("__class__", "__dict__")


def guard(thing: Any) -> None:
    """Make every use of an object in a process that is forked later a BackendError; ``close`` and ``release`` do nothing there."""
    if not _REGISTERED:
        os.register_at_fork(after_in_child=_in_child)
        _REGISTERED.append(True)
    _GUARDED.add(thing)


def _in_child() -> None:
    guarded = list(_GUARDED)
    for thing in guarded:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
        stepper = getattr(thing.__dict__.get("_in_use"), "stepper", None)
        for handle in getattr(stepper, "_under_way", ()):
            handle.__class__ = _forked(type(handle))
        thing.__class__ = _forked(type(thing))
    _GUARDED.clear()
    libc = ctypes.CDLL(None)
    if guarded and hasattr(libc, "on_exit"):
        # Backends' own exit handlers wait for threads that the fork left behind (ONNX Runtime 1.32 does, for ever). Handlers run last
        # first, so this one, which ends the process with the status that it was ending with, comes before theirs. Python's have run.
        libc.on_exit(libc._exit, None)


def _forked(kind: type[Any]) -> type[Any]:
    return type(kind.__name__, (kind,), {"__getattribute__": _refuse})


def _refuse(thing: Any, name: str) -> Any:
    if name in ("close", "release"):
        return lambda *_: None
    if name in _LEFT_ALONE:
        return object.__getattribute__(thing, name)
    raise BackendError(
        "the pipeline was loaded by the process that this one was forked from", "load it here: Pipeline.load(bundle)"
    )
