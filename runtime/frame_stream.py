"""A streamed step: its frames chunk by chunk, each while the next is computed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.errors import InputError
from videoscene_rt.handle import Handle, checked_timeout, stream_handle
from videoscene_rt.result import Result, Status
from videoscene_rt.stream_runs import StreamRun

_AGAIN = "begin another: pipeline.stream(scene)"


@dataclass(frozen=True)
class StreamSource:
    """A streamed step.

    Attributes:
        run: what runs. handle: holds its slot.
        started_ns: the call, on the host's monotonic clock.
        status: of the step, when its first frames are ready.
        stale: says why its frames are no longer to be had; "" while they are.
    """

    run: StreamRun
    handle: Handle
    started_ns: int
    status: Callable[[], Status]
    stale: Callable[[], str]


class Frames:
    """Some neighbouring frames of a streamed step, valid as long as the stream is open.

    Args:
        source: of the frames.
        chunk: their number in the stream, from 0.

    Attributes:
        first, stop: the frames are first … stop − 1 of the video.
        ready_ms: from the call of `Pipeline.stream` until they were ready; on a GPU, until the host saw that, so ask for them at once.
        status: "ok"; "invalid" if the student's result was not finite, and then these are the coarse frames, as all of this stream are.
        array: uint8[n,H,W,3] RGB, without a copy: NumPy's on the CPU; on a GPU one that others take through DLPack, ordered by an event.
    """

    def __init__(self, source: StreamSource, chunk: int) -> None:
        self.chunk = chunk
        self.first, self.stop = source.run.spans[chunk]
        self.ready_ms = (source.run.wait_chunk(chunk) - source.started_ns) / 1e6
        self.status = source.status()
        self._source = source

    @property
    def array(self) -> Any:
        """See the class.

        Raises:
            InputError: the stream was closed, or given back for a later step.
        """
        self._check()
        return self._source.run.view(self.chunk, self._shown)

    def host(self) -> npt.NDArray[np.uint8]:
        """The same as NumPy's array: on the CPU itself; from a GPU copied into page-locked memory while the next chunk is computed.

        Raises:
            InputError: see `array`.
        """
        self._check()
        return self._source.run.host(self.chunk, self._shown)

    def copy(self) -> npt.NDArray[np.uint8]:
        """The same in a NumPy array of its own, which stays.

        Raises:
            InputError: see `array`.
        """
        found = self.host().copy()
        self._check()  # another thread may have closed it meanwhile
        return found

    def wait_on(self, stream: Any) -> None:
        """Make a stream of yours wait for these frames; see `Handle.wait_on`."""
        self._source.run.order_chunk(self.chunk, stream_handle(stream))

    def __len__(self) -> int:
        return self.stop - self.first

    def __repr__(self) -> str:
        return f"Frames({self.first} to {self.stop - 1}, ready after {self.ready_ms:.1f} ms, {self.status})"

    @property
    def _shown(self) -> str:
        """Which result's frames these are."""
        return "coarse" if self.status == "invalid" else "frames"

    def _check(self) -> None:
        reason = self._source.stale()
        if reason:
            raise InputError(reason, "take the frames while the stream is open, or keep frames.copy()")


class FrameStream:
    """What `Pipeline.stream` gives: an iterator over `Frames`, which holds a slot until it is closed.

    The end of a ``with`` statement closes it, or `close`. Without either, when it was read to its end, the pipeline's next
    `step`, `submit` or `stream` does.

    Args:
        source: of the frames.
        keep: told the handle when every frame has been handed out, outside a ``with`` statement.
    """

    def __init__(self, source: StreamSource, keep: Callable[[Handle], None]) -> None:
        self._source = source
        self._handle = source.handle
        self._keep = keep
        self._next = 0
        self._kept = self._entered = False
        self.spans = source.run.spans

    @property
    def closed(self) -> bool:
        """Whether its frames are no longer to be had."""
        return self._handle.released

    def __iter__(self) -> FrameStream:
        return self

    def __next__(self) -> Frames:
        """The next frames, when they are ready.

        Raises:
            InputError: the stream was closed before all frames were handed out, or its pipeline was.
            BackendError: the step failed; the stream is then closed.
        """
        if self._next == len(self.spans):
            raise StopIteration
        reason = self._source.stale()
        if reason:
            raise InputError(reason, _AGAIN)
        try:
            frames = Frames(self._source, self._next)
            if self._next + 1 == len(self.spans):
                self._handle.result()  # the step has ended: it is counted, and what it was given is let go
        except BaseException:
            self.close()
            raise
        self._next += 1
        if self._next == len(self.spans) and not self._entered:
            self._kept = True
            self._keep(self._handle)
        return frames

    def each(self, callback: Callable[[Frames], object]) -> Result:
        """Call something with the frames of each chunk, in this thread, and give the whole result.

        Raises:
            Exception: what the callback raises, after which it is not called again and the stream is closed.
            InputError, BackendError: see `__next__`.
        """
        try:
            for frames in self:
                callback(frames)
            return self.result()
        except BaseException:
            self.close()
            raise

    def result(self, timeout: float | None = None) -> Result:
        """The whole step's result, when it has ended: every frame, the coarse video, the figures; valid as long as the stream is open.

        Args:
            timeout: see `Handle.result`.

        Raises:
            InputError: the stream, or its pipeline, was closed before.
            BackendError: see `Handle.result`.
        """
        reason = self._source.stale()
        if reason:
            raise InputError(reason, _AGAIN)
        timeout = checked_timeout(timeout)
        if timeout is None:
            self._source.run.wait_chunk(0)  # so that the figures have when that was
        return self._handle.result(timeout)

    def close(self, after: Any = None) -> None:
        """Give the slot back, without waiting. On the CPU chunks that were not begun are left out, and the slot is free when the one
        under way has ended; on a GPU what was launched runs to its end, before the
        slot's next step. A second time does nothing.

        Args:
            after: a stream of yours that still reads the frames; see `Handle.release`.
        """
        if not self._handle.released:
            self._source.run.cancel()
            self._handle.release(after)

    def __enter__(self) -> FrameStream:
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A loop that was left early, in which nobody closed it.
        if not getattr(self, "_kept", True):
            with suppress(Exception):
                self.close()
