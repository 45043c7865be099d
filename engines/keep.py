"""Taking a frame over: the tiny decoder's first call writes three frames that are none of the video's, and one that is."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, cast

from videoscene_rt.engines.device import Device
from videoscene_rt.engines.engine import Context, Engine, TensorView
from videoscene_rt.engines.kernels.bindings import Bindings
from videoscene_rt.engines.specs import Signature, TensorSpec

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice


def keep_signature(height: int, width: int) -> Signature:
    """What it takes and gives."""
    shape = (1, height, width, 3)
    return Signature(
        name="keep",
        inputs=(TensorSpec(name="frame", dtype="uint8", shape=shape, meaning="a frame, RGB"),),
        outputs=(TensorSpec(name="kept", dtype="uint8", shape=shape, meaning="the same frame"),),
    )


def keep_engine(device: Device, height: int, width: int) -> Engine:
    """One copy of a frame on a device."""
    return KeepEngine(device, height, width)


class KeepEngine:
    """See the module."""

    scratch_bytes = 0

    def __init__(self, device: Device, height: int, width: int) -> None:
        self.spec = keep_signature(height, width)
        self._device = device

    def context(self, scratch: int | None = None) -> Context:
        """See `Engine.context`."""
        return KeepContext(self._device, self.spec)


class KeepContext:
    """One use of it over fixed memory."""

    def __init__(self, device: Device, spec: Signature) -> None:
        self._device = device
        self._bound = Bindings(spec, device.kind)
        self._nbytes = spec.inputs[0].nbytes

    def bind(self, name: str, view: TensorView) -> None:
        """See `Context.bind`."""
        self._bound.bind(name, view)

    def enqueue(self, stream: int | None = None) -> None:
        """See `Context.enqueue`; on a device it is one copy, without waiting."""
        self._bound.check_complete()
        source, target = self._bound["frame"].pointer, self._bound["kept"].pointer
        if self._device.kind == "cpu":
            ctypes.memmove(target, source, self._nbytes)
            return
        device: Any = cast("CudaDevice", self._device)
        device.use()
        device.call("cuMemcpyAsync", target, source, self._nbytes, device.stream_handle if stream is None else stream)
