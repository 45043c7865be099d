"""cuda.core's exceptions in this project's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from videoscene_rt.engines.errors import BackendError


@contextmanager
def translated(who: str, remedy: str | None = None) -> Iterator[None]:
    """Whatever is raised inside becomes a BackendError: cuda.core's exceptions share no public base class.

    Args:
        who: the device's name.
        remedy: what to do.
    """
    try:
        yield
    except BackendError:
        raise
    except Exception as error:
        raise failed(who, error, remedy) from error


def failed(who: str, error: BaseException, remedy: str | None = None) -> BackendError:
    """An exception of cuda.core as an error of this project; see `translated`."""
    return BackendError(f"{who} failed: {first_line(error)}", remedy)


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its type."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
