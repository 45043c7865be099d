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
        bound: results that lie in the user's memory, as they are bound.
    """

    def __init__(
        self, device: Device, buffers: tuple[Buffer, ...], stream: Any, bound: Mapping[str, TensorView]
    ) -> None:
        self._device = device
        self._buffers = buffers
        self.stream = stream
        self._bound = bound
        self._mirrors: dict[tuple[int, str], npt.NDArray[Any]] = {}

    def download(self, slot: Slot, made: Event) -> Arrays:
        """The results of the slot's last step, when an event says that they are made: views, valid until the slot's next step.

        Args:
            slot: whose.
            made: the event.

        Raises:
            BackendError: the step failed, or there is no page-locked memory left.
        """
        made.synchronize()
        self.stream.wait(made)
        found = {}
        for buffer in self._buffers:
            view = self._bound.get(buffer.name) or slot.results[buffer.name].view()
            array = self._in_place(slot, buffer, view)
            if array is None:
                array = self._mirror(slot, buffer)
                self._device.copy(array.ctypes.data, view.pointer, array.nbytes, self.stream)
            found[buffer.name] = array
        self.stream.synchronize()
        return found

    def download_frames(self, slot: Slot, made: Event, name: str, span: tuple[int, int]) -> npt.NDArray[Any]:
        """Some frames of a step that may still be running, when an event says that they are made: a view, valid until the slot's next step.

        Args:
            slot: whose.
            made: the event.
            name: "frames" or "coarse".
            span: start and stop.

        Raises:
            BackendError: see `download`.
        """
        made.synchronize()
        buffer = next(buffer for buffer in self._buffers if buffer.name == name)
        view = self._bound.get(buffer.name) or slot.results[buffer.name].view()
        array = self._in_place(slot, buffer, view)
        if array is not None:
            return array[slice(*span)]
        found = self._mirror(slot, buffer)[slice(*span)]
        self.stream.wait(made)
        self._device.copy(found.ctypes.data, part_of(view, (slice(*span),)).pointer, found.nbytes, self.stream)
        self.stream.synchronize()
        return found

    def order_after(self, event: Event, handle: int) -> None:
        """Make a stream, anybody's, wait for an event of the chain, by way of the stream of the copies."""
        self.stream.wait(event)
        self._device.order(self.stream.handle, before=handle)

    def _in_place(self, slot: Slot, buffer: Buffer, view: TensorView) -> npt.NDArray[Any] | None:
        """A result that the host sees where it is."""
        if isinstance(view.owner, np.ndarray):
            return view.owner
        return None if buffer.name in self._bound else slot.results[buffer.name].host

    def _mirror(self, slot: Slot, buffer: Buffer) -> npt.NDArray[Any]:
        key = (slot.number, buffer.name)
        if key not in self._mirrors:
            block = self._device.block(buffer.nbytes, "pinned")
            self._mirrors[key] = host_array(block, buffer.dtype, buffer.shape)
        return self._mirrors[key]
