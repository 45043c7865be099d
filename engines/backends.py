"""Opening a backend by name: the one place that knows which pairs of backend, device and precision there are."""

from __future__ import annotations

from videoscene_rt.engines.arguments import checked_threads
from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.platform import KINDS
from videoscene_rt.engines.store.located import Locator
from videoscene_rt.engines.store.selection import selected_for

BACKENDS = tuple(KINDS)
PRECISIONS = ("fp32", "fp16", "int8")


def check_pair(name: str, precision: str) -> None:
    """Whether there are such a backend and such a precision.

    Raises:
        InputError: there are not; it says which there are.
    """
    if name not in BACKENDS:
        raise InputError(f"there is no backend {name!r}", f"choose one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise InputError(f"there is no precision {precision!r}", f"choose one of {', '.join(PRECISIONS)}")


def open_backend(
    name: str = "onnxruntime", precision: str = "fp32", threads: int | None = None, locate: Locator | None = None
) -> Backend:
    """Open a backend. It loads what `vsrt build` selected for it and never builds: see `selection.selected_for`.

    Args:
        name: one of `BACKENDS`.
        precision: a ceiling; one of `PRECISIONS`.
        threads: threads for one operator on the CPU; None takes every core.
        locate: finds the engine of a graph; None takes what was selected for this pair.

    Raises:
        InputError: there is no such backend or precision, or threads is not from 1 to four times the cores.
        BackendError: the backend's package is not installed, or there is no device for it.
    """
    check_pair(name, precision)
    threads = checked_threads(threads)
    found = selected_for(name, precision) if locate is None else locate
    if name == "onnxruntime":
        from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend

        return OnnxRuntimeBackend(threads, found)
    from videoscene_rt.engines.routed import RoutedBackend

    return RoutedBackend(name, found, threads)
