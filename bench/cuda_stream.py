"""Events and graph capture on a backend's stream (a cuda.core Stream)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from videoscene_rt.engines.errors import BackendError


class CudaTimer:
    """`videoscene_rt.bench.closed_loop.Timer` with two CUDA events.

    Args:
        stream: the cuda.core Stream that the work is enqueued on.

    Raises:
        BackendError: cuda.core is not installed, or the events cannot be made.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        try:
            from cuda.core import EventOptions

            options = EventOptions(timing_enabled=True)
            self._begin = stream.record(options=options)
            self._end = stream.record(options=options)
        except Exception as error:  # cuda.core's exceptions share no public base class
            raise BackendError(f"CUDA events cannot be had: {error}", "pip install 'videoscene-rt[cuda]'") from error

    def start(self) -> None:
        """See `Timer.start`."""
        self._stream.record(self._begin)

    def stop(self) -> None:
        """See `Timer.stop`."""
        self._stream.record(self._end)

    def elapsed_ms(self) -> float:
        """See `Timer.elapsed_ms`."""
        return float(self._end - self._begin)


class Captured:
    """Launches a graph on a stream, and keeps what it was captured from alive: a graph knows addresses alone.

    Args:
        graph, stream: cuda.core's.
        source: what was captured.
    """

    __slots__ = ("_graph", "_source", "_stream")

    def __init__(self, graph: Any, stream: Any, source: Callable[[], object]) -> None:
        self._graph, self._stream, self._source = graph, stream, source

    def __call__(self) -> None:
        """Launch, without waiting."""
        self._graph.launch(self._stream)


def capture(stream: Any, enqueue: Callable[[], object]) -> Callable[[], None]:
    """Capture what ``enqueue`` puts on a stream into a CUDA graph.

    It runs once before, uncaptured, since a first run may allocate.

    Args:
        stream: a cuda.core Stream.
        enqueue: puts work on it, and never waits.

    Returns:
        Launches the graph on the stream, without waiting; it keeps ``enqueue`` and what that holds, whose memory the graph works in.

    Raises:
        BackendError: it cannot be captured.
    """
    enqueue()
    stream.sync()
    builder = stream.create_graph_builder()
    try:
        # "global" would forbid every other thread its allocations meanwhile.
        builder.begin_building(mode="thread_local")
        enqueue()
        graph = builder.end_building().complete()
        graph.upload(stream)
        stream.sync()
    except Exception as error:  # cuda.core's exceptions share no public base class
        with suppress(Exception):  # an invalid capture says so once more when it is ended
            builder.end_building()
        raise BackendError(f"the work cannot be captured into a CUDA graph: {error}") from error
    return Captured(graph, stream, enqueue)
