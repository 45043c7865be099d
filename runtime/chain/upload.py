"""Taking inputs into a slot: copied into page-locked staging and from there to the device, or written in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from videoscene_rt.chain.arrays import Given
from videoscene_rt.chain.slots import InputBuffer, Slot
from videoscene_rt.engines.device import Device


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

    def upload(self, slot: Slot, arrays: Mapping[str, Given]) -> None:
        """Put the copies onto the stream and mark their end with ``slot.ready``.

        The slot's last step is done with its inputs after ``slot.done``, and with its staging after ``slot.ready``.

        Args:
            slot: which no step is using.
            arrays: checked, by input; see `videoscene_rt.chain.arrays.taken`.
        """
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
