"""Taking inputs into a slot: copied into page-locked staging and from there to the device, or written in place."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from videoscene_rt.chain.arrays import Given
from videoscene_rt.chain.finite import rows_read
from videoscene_rt.chain.slots import InputBuffer, Slot
from videoscene_rt.engines.device import Device
from videoscene_rt.engines.engine import TensorView

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice
    from videoscene_rt.engines.kernels.input_watch import InputWatch


class Uploader:
    """Copies inputs into slots on a stream of its own.

    What a step is not given keeps what the pipeline was last given, whichever slot that lies in.

    Args:
        device: the chain's.
        slots: all of them.
        stream: for the copies.
    """

    def __init__(self, device: Device, slots: tuple[Slot, ...], stream: Any) -> None:
        self._device = device
        self._slots = slots
        self.stream = stream
        self._version = 0
        self._latest: dict[str, InputBuffer] = {}
        self._watch = _watch(device, slots)

    def upload(self, slot: Slot, arrays: Mapping[str, Given], after: int | None = None) -> None:
        """Take inputs into a slot; what is not given keeps what the chain was last given. ``slot.ready`` marks the end of the copies.

        Args:
            slot: which no step is using.
            arrays: checked, by input; see `videoscene_rt.chain.arrays.taken`. The first axis may be shorter.
            after: the handle of a stream on which device arrays are made and used again: the copies wait for it, and it for them.
        """
        if after is not None:
            self._device.order(after, before=self.stream.handle)
        self._copy(slot, arrays)
        self._look(slot, arrays)
        if after is not None:
            self._device.order(self.stream.handle, before=after)

    def rows(self, name: str) -> int:
        """Rows of an input that the pipeline was last given; all of them where it never was."""
        return (self._latest.get(name) or self._slots[0].inputs[name]).rows

    def nonfinite(self, slot: Slot) -> dict[str, int]:
        """By input that was given on the device, how many of its values are not finite, where any is not; when it has been rendered."""
        return {} if self._watch is None else self._watch.found(slot.number)

    def adopt(self, other: Uploader) -> None:
        """Take over what another chain with the same inputs was last given, and wait until it is here; no step of this one runs.

        Args:
            other: that chain's, on the same device.
        """
        other.stream.synchronize()
        self._version += 1
        slot = self._slots[0]
        for name, buffer in slot.inputs.items():
            theirs = other._latest.get(name) or other._slots[0].inputs[name]
            view = buffer.memory.view()
            self._device.copy(view.pointer, theirs.memory.view().pointer, buffer.host.nbytes, self.stream)
            buffer.version, buffer.rows = self._version, theirs.rows
            self._latest[name] = buffer
        self.stream.record(slot.ready)
        self.stream.synchronize()

    def _copy(self, slot: Slot, arrays: Mapping[str, Given]) -> None:
        """The slot's last step is done with its inputs after ``slot.done``, and with its staging after ``slot.ready``."""
        slot.ready.synchronize()  # the staging memory is free again
        if not all(buffer.copied for buffer in slot.inputs.values()):
            slot.done.synchronize()  # the host writes what the stages read,
            self.stream.synchronize()  # and what another slot's inputs may still be copied from
        self.stream.wait(slot.done)
        self._version += 1
        for name, array in arrays.items():
            buffer = slot.inputs[name]
            buffer.version, buffer.rows = self._version, array.shape[0]
            self._latest[name] = buffer
            self._take(slot, buffer, array)
        for name, buffer in slot.inputs.items():
            latest = self._latest.get(name)
            if latest is not None and latest.version != buffer.version:
                self._carry(slot, buffer, latest)
        self.stream.record(slot.ready)

    def _look(self, slot: Slot, arrays: Mapping[str, Given]) -> None:
        """Let the device count, after the copies, what is not finite in inputs that came from the device."""
        if self._watch is None:
            return
        self._watch.clear(slot.number)
        looked = False
        for name in self._watch.names:
            array = arrays.get(name)
            if isinstance(array, TensorView):
                buffer, rows = slot.inputs[name], rows_read(name, arrays)
                shape = (array.shape[0] if rows is None else min(rows, array.shape[0]), *array.shape[1:])
                pointer = buffer.memory.view().pointer
                if prod(shape):
                    self._watch.enqueue(slot.number, name, pointer, prod(shape), self.stream.handle)
                    looked = True
        if looked:
            self.stream.record(slot.ready)  # the step, and so its end, comes after the look

    def _take(self, slot: Slot, buffer: InputBuffer, array: Given) -> None:
        nbytes = buffer.rows * buffer.row_bytes
        target = buffer.memory.view().pointer
        if isinstance(array, np.ndarray):
            buffer.host[: buffer.rows] = array
            if not buffer.copied:
                return
            source = buffer.host.ctypes.data
        else:
            source = array.pointer
        self._device.copy(target, source, nbytes, self.stream)
        slot.uploaded += nbytes

    def _carry(self, slot: Slot, buffer: InputBuffer, latest: InputBuffer) -> None:
        nbytes = latest.rows * latest.row_bytes
        self._device.copy(buffer.memory.view().pointer, latest.memory.view().pointer, nbytes, self.stream)
        buffer.version, buffer.rows = latest.version, latest.rows
        slot.uploaded += nbytes


def _watch(device: Device, slots: tuple[Slot, ...]) -> InputWatch | None:
    """The watch over the float inputs, where there are arrays that the host cannot look at."""
    if device.kind != "cuda":
        return None
    from videoscene_rt.engines.kernels.input_watch import InputWatch

    views = {name: buffer.memory.view() for name, buffer in slots[0].inputs.items()}
    shapes = {name: view.shape for name, view in views.items() if view.dtype == "float32"}
    return InputWatch(cast("CudaDevice", device), shapes, len(slots))
