"""The host as a device: memory is NumPy's, a stream runs what it is given at once, and every event is done."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import numpy as np

from videoscene_rt.engines.device import ALIGNMENT, Block, GraphForm, Place
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.memory import HostMemory


def _physical_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class HostEvent:
    """See `Event`: done, always."""

    handle = 0
    done = True

    def synchronize(self) -> None:
        """Nothing to wait for."""


class HostStream:
    """See `Stream`: what is put on it has run when the call returns, so there is nothing to order."""

    handle = 0

    def record(self, event: HostEvent | None = None) -> HostEvent:
        """See `Stream.record`."""
        return event or HostEvent()

    def wait(self, event: HostEvent) -> None:
        """It is done."""

    def mark(self, event: HostEvent) -> None:
        """See `Stream.mark`; the host's events have no time."""

    def synchronize(self) -> None:
        """Nothing to wait for."""


class HostDevice:
    """`videoscene_rt.engines.device.Device` in this process's memory."""

    kind = "cpu"
    captures = False
    unified = True
    name = "cpu"
    priorities = (0, 0)

    def use(self) -> None:
        """There is no other."""

    def block(self, nbytes: int, place: Place = "device") -> Block:
        """See `Device.block`; every place is the same one."""
        refused = f"there are no {nbytes >> 20:,} MiB of memory left", "use a smaller preset"
        if nbytes > _physical_bytes():  # Linux would promise it, and end the process that writes to it
            raise BackendError(*refused)
        try:
            raw = np.zeros(nbytes + ALIGNMENT, np.uint8)
        except MemoryError as error:
            raise BackendError(*refused) from error
        skip = -raw.ctypes.data % ALIGNMENT
        array = raw[skip : skip + nbytes]
        return Block(array.ctypes.data, nbytes, array, array.ctypes.data)

    def memory(self, dtype: str, shape: tuple[int, ...], block: Block, offset: int = 0) -> HostMemory:
        """See `Device.memory`."""
        nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        return HostMemory(dtype, shape, block.owner[offset : offset + nbytes].view(dtype).reshape(shape))

    def free_bytes(self) -> None:
        """Not known: see `Device.free_bytes`."""

    def new_stream(self, priority: int = 0) -> HostStream:
        """See `Device.new_stream`: 0 is the only priority."""
        if priority:
            raise InputError(
                f"priority {priority}: the CPU has no streams, 0 is its only priority", "leave priority out"
            )
        return HostStream()

    def event(self, timing: bool = False) -> HostEvent:
        """See `Device.event`."""
        return HostEvent()

    def elapsed_ms(self, begin: HostEvent, end: HostEvent) -> float:
        """The host's events have no time."""
        raise BackendError("the CPU's events have no time: the chain measures its stages with a clock")

    def record(self, handle: int, event: HostEvent) -> None:
        """See `Device.record`: it is done."""

    def order(self, handle: int, before: int) -> None:
        """Nothing to order."""

    def copy(self, target: int, source: int, nbytes: int, stream: HostStream) -> None:
        """See `Device.copy`."""
        ctypes.memmove(target, source, nbytes)

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def capture(
        self, stream: HostStream, enqueue: Callable[[], None], form: GraphForm = "plain"
    ) -> Callable[[HostStream], None]:
        """The CPU has no graphs."""
        raise BackendError("the CPU has no graphs to capture into")
