"""Work that ONNX Runtime does on one stream, put into the order of the stream that it is enqueued on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from videoscene_rt.engines.errors import BackendError

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice


class OwnStream:
    """A device's own stream, on which the sessions of a backend work, joined to other streams by events.

    A session knows one stream, from when it is made. Work that is enqueued on another one runs after what that one has, and what
    comes after on that one runs after it: other → own → other. Stages on two streams so take turns on the backend's.

    Args:
        device: whose own stream.
    """

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._before, self._after = device.event(), device.event()

    @contextmanager
    def joined(self, stream: int | None) -> Iterator[None]:
        """What is enqueued inside is ordered as if it were on ``stream``; None is the own one.

        Raises:
            BackendError: the stream is being captured. ONNX Runtime stages through host memory that it takes back after the run: a
                graph that is replayed would read it when it is something else's.
        """
        device = self._device
        own = device.stream_handle
        other = own if stream is None else stream
        if (
            device.call("cuStreamIsCapturing", other)
            != device.driver.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_NONE
        ):
            raise BackendError("ONNX Runtime's CUDA provider cannot be captured into a CUDA graph")
        if other == own:
            yield
            return
        device.call("cuEventRecord", self._before.handle, other)
        device.call("cuStreamWaitEvent", own, self._before.handle, 0)
        yield
        device.call("cuEventRecord", self._after.handle, own)
        device.call("cuStreamWaitEvent", other, self._after.handle, 0)
