"""Who keeps a stream alive that is known by its number alone, as DLPack's consumers give theirs.

The driver follows that number as a pointer: one of a stream that was destroyed crashes the process, and nothing can be asked of it
before. So a stream is touched later on only where it is known to be there.
"""

from __future__ import annotations

import sys
from typing import Any

LEGACY_STREAM = 1
"""CU_STREAM_LEGACY: the default stream, which lives as long as its context."""
PER_THREAD_STREAM = 2
"""CU_STREAM_PER_THREAD: another stream in every thread, so that the number says nothing to another thread."""


def stream_owner(handle: int) -> Any | None:
    """An object with which a stream stays alive as long as it is referenced; None where that cannot be told.

    Asked while the consumer takes an array, in its thread: then a library's own stream is its current one. PyTorch's come from a pool
    that is never freed; CuPy's live as long as their object. Neither is imported: who uses it has done so.

    Args:
        handle: of the stream, as the driver names it.
    """
    if handle == LEGACY_STREAM:
        return LEGACY_STREAM
    if handle == PER_THREAD_STREAM:
        return None
    return _of_torch(handle) or _of_cupy(handle)


def _of_torch(handle: int) -> Any | None:
    torch = sys.modules.get("torch")
    try:
        stream = torch.cuda.current_stream()  # type: ignore[union-attr]
        # One that PyTorch was lent (ExternalStream) has its address for its identity; one of the pool has not.
        return stream if int(stream.cuda_stream) == handle != int(stream.stream_id) else None
    except Exception:  # not imported, without CUDA, or of a version that says it differently
        return None


def _of_cupy(handle: int) -> Any | None:
    cupy = sys.modules.get("cupy")
    try:
        stream = cupy.cuda.get_current_stream()  # type: ignore[union-attr]
        # CuPy's ExternalStream is no Stream: it owns nothing.
        return stream if isinstance(stream, cupy.cuda.Stream) and int(stream.ptr) == handle else None  # type: ignore[union-attr]
    except Exception:  # as above
        return None
