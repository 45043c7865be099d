"""Streams and events of a CUDA device: thin words over cuda.core's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from videoscene_rt.engines.cuda.errors import failed, translated

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice


class CudaEvent:
    """`videoscene_rt.engines.device.Event` over a cuda.core Event."""

    def __init__(self, event: Any, who: str) -> None:
        self.raw = event
        self.handle = int(event.handle)
        self._who = who

    @property
    def done(self) -> bool:
        """See `Event.done`."""
        with translated(self._who):
            return bool(self.raw.is_done)

    def synchronize(self) -> None:
        """See `Event.synchronize`."""
        with translated(self._who):
            self.raw.sync()


class CudaStream:
    """`videoscene_rt.engines.device.Stream` over a cuda.core Stream."""

    def __init__(self, device: CudaDevice, stream: Any) -> None:
        self._device = device
        self.raw = stream
        self.handle = int(stream.handle)

    def record(self, event: CudaEvent | None = None) -> CudaEvent:
        """See `Stream.record`."""
        if event is None:
            event = self._device.event()
        try:  # a step comes through here: a context manager would cost it a microsecond a call
            self.raw.record(event.raw)
        except Exception as error:
            raise failed(self._device.name, error) from error
        return event

    def mark(self, event: CudaEvent) -> None:
        """Record an event so that it can be read even while this stream is captured: as a node of the graph."""
        driver = self._device.driver
        capturing = self._device.call("cuStreamIsCapturing", self.raw.handle)
        external = capturing == driver.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_ACTIVE
        flags = driver.CUevent_record_flags.CU_EVENT_RECORD_EXTERNAL if external else 0
        self._device.call("cuEventRecordWithFlags", event.raw.handle, self.raw.handle, int(flags))

    def wait(self, event: CudaEvent) -> None:
        """See `Stream.wait`."""
        try:  # as above
            self.raw.wait(event.raw)
        except Exception as error:
            raise failed(self._device.name, error) from error

    def synchronize(self) -> None:
        """See `Stream.synchronize`."""
        with translated(self._device.name):
            self.raw.sync()
