"""One CUDA device: its context, memory, streams, events and copies."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.cuda.capture import capture
from videoscene_rt.engines.cuda.errors import first_line, translated
from videoscene_rt.engines.cuda.memory import CudaMemory, PageLocked
from videoscene_rt.engines.cuda.streams import CudaEvent, CudaStream
from videoscene_rt.engines.device import ALIGNMENT, Block, GraphForm, Place
from videoscene_rt.engines.errors import BackendError, InputError

_INSTALL = "pip install 'videoscene-rt[cuda]'"


class CudaDevice:
    """`videoscene_rt.engines.device.Device` over a CUDA device's primary context, with one stream of its own.

    Args:
        index: as CUDA counts the devices it shows this process.

    Raises:
        BackendError: cuda-core is not installed, or there is no such device or no driver.
    """

    kind = "cuda"
    captures = True

    def __init__(self, index: int = 0) -> None:
        try:
            from cuda.bindings import driver
            from cuda.core import Device
        except (ImportError, RuntimeError) as error:  # without a driver, some versions fail while they are imported
            raise BackendError(f"cuda-core cannot be imported: {first_line(error)}", _INSTALL) from error
        self.driver = driver
        self.index = index
        try:
            self._device = Device(index)
            self._device.set_current()
            self._stream = self._device.create_stream()
        except Exception as error:  # cuda.core's exceptions share no public base class
            raise BackendError(
                f"there is no usable CUDA device {index}: {first_line(error)}",
                "vsrt doctor says what this machine has",
            ) from error

        self._ordering = self.event()

    @property
    def name(self) -> str:
        """As the driver names it."""
        return str(self._device.name)

    @property
    def compute_capability(self) -> str:
        """Like "9.0"."""
        major, minor = self._device.compute_capability
        return f"{major}.{minor}"

    @property
    def cuda_version(self) -> str:
        """The newest CUDA that the driver knows, like "13.0"."""
        version = self.call("cuDriverGetVersion")
        return f"{version // 1000}.{version % 1000 // 10}"

    @property
    def unified(self) -> bool:
        """Host and device share memory, as on a Jetson (CU_DEVICE_ATTRIBUTE_INTEGRATED)."""
        attribute = self.driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_INTEGRATED
        return bool(self.call("cuDeviceGetAttribute", attribute, self.index))

    @property
    def priorities(self) -> tuple[int, int]:
        """See `Device.priorities`."""
        lowest, highest = self.call("cuCtxGetStreamPriorityRange")
        return int(lowest), int(highest)

    @property
    def stream(self) -> Any:
        """The device's own stream, as a cuda.core Stream."""
        return self._stream

    @property
    def stream_handle(self) -> int:
        """Its CUstream, as `Context.enqueue` takes it."""
        return int(self._stream.handle)

    def use(self) -> None:
        """Make this device current in the calling thread."""
        self._device.set_current()

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> CudaMemory:
        """Zeroed device memory, at a multiple of 512 bytes.

        Raises:
            BackendError: there is not enough.
        """
        return CudaMemory(self, self.block(prod(shape) * np.dtype(dtype).itemsize), dtype, shape)

    def block(self, nbytes: int, place: Place = "device") -> Block:
        """See `Device.block`. It is zero for work on the device's own stream, and on others after `synchronize`."""
        self.use()
        if place != "device":
            locked = PageLocked(self, nbytes)
            return Block(locked.device_pointer, nbytes, locked, locked.host_pointer)
        try:
            buffer = self._device.allocate(nbytes + ALIGNMENT, stream=self._stream)
        except Exception as error:  # as above
            raise BackendError(
                f"{self.name} has no {nbytes / 2**20:.0f} MiB left: {first_line(error)}",
                "use a smaller preset, or end what else uses the GPU",
            ) from error
        pointer = -(-int(buffer.handle) // ALIGNMENT) * ALIGNMENT
        if nbytes:
            self.call("cuMemsetD8Async", pointer, 0, nbytes, self._stream.handle)
        return Block(pointer, nbytes, buffer)

    def memory(self, dtype: str, shape: tuple[int, ...], block: Block, offset: int = 0) -> CudaMemory:
        """See `Device.memory`."""
        return CudaMemory(self, block, dtype, shape, offset)

    def free_bytes(self) -> int:
        """See `Device.free_bytes`."""
        free, _ = self.call("cuMemGetInfo")
        return int(free)

    def new_stream(self, priority: int = 0) -> CudaStream:
        """See `Device.new_stream`."""
        from cuda.core import StreamOptions

        lowest, highest = self.priorities
        if not highest <= priority <= lowest:
            raise InputError(f"priority {priority} is not from {highest} to {lowest} on {self.name}")
        with translated(self.name):
            return CudaStream(self, self._device.create_stream(options=StreamOptions(priority=priority)))

    def event(self, timing: bool = False) -> CudaEvent:
        """See `Device.event`."""
        from cuda.core import EventOptions

        with translated(self.name):
            return CudaEvent(self._device.create_event(options=EventOptions(timing_enabled=timing)), self.name)

    def elapsed_ms(self, begin: CudaEvent, end: CudaEvent) -> float:
        """See `Device.elapsed_ms`."""
        with translated(self.name):
            return float(end.raw - begin.raw)

    def record(self, handle: int, event: CudaEvent) -> None:
        """See `Device.record`. The driver follows the handle: one of a destroyed stream crashes the process."""
        self.call("cuEventRecord", event.raw.handle, handle)

    def order(self, handle: int, before: int) -> None:
        """See `Device.order`."""
        if handle == before:
            return
        # A wait keeps the state that the event has when it is called, so one event serves every pair.
        self.call("cuEventRecord", self._ordering.handle, handle)
        self.call("cuStreamWaitEvent", before, self._ordering.handle, 0)

    def copy(self, target: int, source: int, nbytes: int, stream: CudaStream) -> None:
        """See `Device.copy`; the driver knows from the addresses which way."""
        if nbytes:
            self.call("cuMemcpyAsync", target, source, nbytes, stream.raw.handle)

    def capture(
        self, stream: CudaStream, enqueue: Callable[[], None], form: GraphForm = "plain"
    ) -> Callable[[CudaStream], None]:
        """See `Device.capture`."""
        return capture(stream, enqueue, form)

    def settle(self, handle: int) -> None:
        """Wait for everything on anybody's stream, named by its handle.

        Raises:
            BackendError: something on it failed, or it is being captured.
        """
        self.call("cuStreamSynchronize", handle)

    def upload(self, pointer: int, array: npt.NDArray[Any]) -> None:
        """Copy a C-contiguous host array to an address, in the own stream's order; the array may be changed on return."""
        if array.nbytes:
            self.call("cuMemcpyHtoDAsync", pointer, array.ctypes.data, array.nbytes, self._stream.handle)
            # Pageable memory is staged before the call returns; page-locked memory is read later.
            self.synchronize()

    def download(self, pointer: int, array: npt.NDArray[Any]) -> None:
        """Copy from an address into a C-contiguous host array, after everything in the own stream; waits."""
        if array.nbytes:
            self.call("cuMemcpyDtoHAsync", array.ctypes.data, pointer, array.nbytes, self._stream.handle)
            self.synchronize()

    def synchronize(self) -> None:
        """Wait for the own stream.

        Raises:
            BackendError: something that was enqueued failed.
        """
        with translated(self.name):
            self._stream.sync()

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the driver in this device's context; its results, one bare and several as a tuple.

        Raises:
            BackendError: it failed; the driver's name of the error.
        """
        self.use()  # a context is current in a thread, and this may be another one
        status, *results = getattr(self.driver, function)(*arguments)
        if status != self.driver.CUresult.CUDA_SUCCESS:
            raise BackendError(f"{function} failed on {self.name}: {status.name}")
        return None if not results else results[0] if len(results) == 1 else tuple(results)
