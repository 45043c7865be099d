"""Too little memory for what Python or NumPy ask of the system, in this project's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from videoscene_rt.engines.errors import BackendError

_NO_THREAD = "can't start new thread"


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn MemoryError, and a thread that could not be started, into BackendError. Also a decorator.

    Raises:
        BackendError: there was too little memory; the same call works when there is more.
    """
    try:
        yield
    except BackendError:
        raise
    except MemoryError as error:
        detail = f": {' '.join(str(error).split())}" if str(error) else ""
        raise BackendError(f"out of memory{detail}", "use a smaller preset or fewer points, or free memory") from error
    except RuntimeError as error:
        if _NO_THREAD not in str(error):
            raise
        raise BackendError(
            "the system starts no more threads: too little memory, or too many processes", "end what else runs"
        ) from error
