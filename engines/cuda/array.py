"""An array on a CUDA device as others see it: DLPack and the CUDA array interface, ordered after the work that makes it."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.cuda.errors import translated
from videoscene_rt.engines.cuda.stream_owner import LEGACY_STREAM, stream_owner
from videoscene_rt.engines.cuda.streams import CudaEvent, CudaStream
from videoscene_rt.engines.engine import TensorView

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice

_CUDA = 2
"""kDLCUDA (dlpack.h)."""
_UNORDERED = -1


class DeviceArray:
    """A dense array in device memory; nothing is copied until `host` is asked for.

    A consumer that takes it through DLPack names the stream it reads on: that stream waits for the work that makes the array. One
    that takes it through ``__cuda_array_interface__`` finds there the stream to wait for.

    Args:
        device: whose memory.
        view: where it lies.
        made: the event after which it holds what it says.
        stream: on which it is made.
        on_read: told the handle of each stream that is given the array through DLPack, and who keeps it alive, or None (`stream_owner`).
    """

    def __init__(
        self,
        device: CudaDevice,
        view: TensorView,
        made: CudaEvent,
        stream: CudaStream,
        on_read: Callable[[int, Any | None], None],
    ) -> None:
        self._device = device
        self._view = view
        self._made = made
        self._stream = stream
        self._on_read = on_read
        self.shape = view.shape
        self.dtype = np.dtype(view.dtype)

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def pointer(self) -> int:
        """Its address on the device."""
        return self._view.pointer

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3 (numba's documentation, "CUDA Array Interface"): the consumer waits for ``stream``."""
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "version": 3,
            "strides": None,
            "stream": self._stream.handle,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        """(kDLCUDA, the device's index)."""
        return _CUDA, self._device.index

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        """A capsule of the same memory (the array API standard's ``__dlpack__``).

        Args:
            stream: the consumer's, which then waits for the work; None and 1 are the legacy default stream, −1 orders nothing.
            options: max_version, dl_device and copy, as the standard has them.
        """
        from cuda.core import Buffer
        from cuda.core.utils import StridedMemoryView

        if stream != _UNORDERED:
            reader = int(stream) if stream else LEGACY_STREAM
            self._device.call("cuStreamWaitEvent", reader, self._made.handle, 0)
            self._on_read(reader, stream_owner(reader))
        with translated(self._device.name):
            buffer = Buffer.from_handle(self.pointer, self.nbytes, owner=self._view.owner)
            return StridedMemoryView.from_buffer(buffer, self.shape, dtype=self.dtype).__dlpack__(
                stream=_UNORDERED, **options
            )

    def __array__(self, *args: Any, **options: Any) -> npt.NDArray[Any]:
        """Refused: NumPy's arrays lie on the host, and a copy should be seen."""
        raise TypeError("this array lies on the GPU; result.host() copies the step's arrays to the host")

    def __repr__(self) -> str:
        return f"DeviceArray({self.dtype}{list(self.shape)} on {self._device.name})"
