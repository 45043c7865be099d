"""Opening a backend by name: the one place that knows which pairs of backend, device and precision there are."""

from __future__ import annotations

from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.errors import BackendError, InputError

BACKENDS = ("onnxruntime",)
PRECISIONS = ("fp32",)


def open_backend(name: str = "onnxruntime", precision: str = "fp32", threads: int | None = None) -> Backend:
    """Open a backend.

    Args:
        name: one of `BACKENDS`.
        precision: a ceiling; one of `PRECISIONS`.
        threads: threads for one operator on the CPU; None takes every core.

    Raises:
        InputError: there is no such backend or precision, or threads is not positive.
        BackendError: its package is not installed, or the pair cannot be.
    """
    if name not in BACKENDS:
        raise BackendError(f"backend {name!r} is not to be had in this version; it has {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise BackendError(f"precision {precision!r} is not to be had in this version; it has {', '.join(PRECISIONS)}")
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, not {threads}")
    from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend

    return OnnxRuntimeBackend(threads)
