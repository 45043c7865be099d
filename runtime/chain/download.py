"""Bringing a slot's results to the host: copied into page-locked memory on a stream of its own, or seen in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.chain.description import Buffer
from videoscene_rt.chain.slots import Slot
from videoscene_rt.engines.device import Device, Event, host_array
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.slices import part_of

Arrays = dict[str, npt.NDArray[Any]]


class Downloader:
    """Host mirrors of the slots' results, one set a slot, made when they are first asked for.

    Args:
        device: the chain's.
        buffers: the results.
        stream: for the copies.
    """

    def __init__(self, device: Device, buffers: tuple[Buffer, ...], stream: Any) -> None:
        self._device = device
        self._buffers = buffers
        self.stream = stream
        self._mirrors: dict[tuple[int, str], npt.NDArray[Any]] = {}

    def download(self, slot: Slot, bound: Mapping[str, TensorView]) -> Arrays:
        """The results of the slot's last step, when it is done. Views that the slot's next download overwrites.

        Args:
            slot: whose.
            bound: results that lie in the user's memory.

        Raises:
            BackendError: the step failed, or there is no page-locked memory left.
        """
        slot.done.synchronize()
        self.stream.wait(slot.done)
        found = {}
        for buffer in self._buffers:
            view = bound.get(buffer.name) or slot.results[buffer.name].view()
            array = self._in_place(slot, buffer, view, bound)
            if array is None:
                array = self._mirror(slot, buffer)
                self._device.copy(array.ctypes.data, view.pointer, array.nbytes, self.stream)
            found[buffer.name] = array
        self.stream.synchronize()
        return found

    def download_frames(
        self, slot: Slot, made: Event, name: str, span: tuple[int, int], bound: Mapping[str, TensorView]
    ) -> npt.NDArray[Any]:
        """Some frames of a step that may still be running, when the event says that they are made.

        Args:
            slot: whose.
            made: the event.
            name: "frames" or "coarse".
            span: start and stop.
            bound: see `download`.

        Raises:
            BackendError: see `download`.
        """
        made.synchronize()
        buffer = next(buffer for buffer in self._buffers if buffer.name == name)
        view = bound.get(buffer.name) or slot.results[buffer.name].view()
        array = self._in_place(slot, buffer, view, bound)
        if array is not None:
            return array[slice(*span)]
        found = self._mirror(slot, buffer)[slice(*span)]
        self.stream.wait(made)
        self._device.copy(found.ctypes.data, part_of(view, (slice(*span),)).pointer, found.nbytes, self.stream)
        self.stream.synchronize()
        return found

    @staticmethod
    def _in_place(
        slot: Slot, buffer: Buffer, view: TensorView, bound: Mapping[str, TensorView]
    ) -> npt.NDArray[Any] | None:
        """A result that the host sees where it is."""
        if isinstance(view.owner, np.ndarray):
            return view.owner
        return None if buffer.name in bound else slot.results[buffer.name].host

    def _mirror(self, slot: Slot, buffer: Buffer) -> npt.NDArray[Any]:
        key = (slot.number, buffer.name)
        if key not in self._mirrors:
            block = self._device.block(buffer.nbytes, "pinned")
            self._mirrors[key] = host_array(block, buffer.dtype, buffer.shape)
        return self._mirrors[key]
