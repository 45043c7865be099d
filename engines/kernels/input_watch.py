"""The watch over inputs that lie on the device already: how many of their values are not finite, for the host to read with the result."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from videoscene_rt.engines.device import host_array
from videoscene_rt.engines.kernels.watch import grid

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice

_STATE = 2
_PAIR = 2
"""What the kernel writes: the count, and a number that it copies beside it, of which there is none here."""


class InputWatch:
    """The watch's kernel, prepared for each float input of each slot.

    Args:
        device: where they lie.
        shapes: of each float32 input's buffer, by name.
        slots: how many sets of them.
    """

    def __init__(self, device: CudaDevice, shapes: Mapping[str, tuple[int, ...]], slots: int) -> None:
        from videoscene_rt.engines.kernels.compile import load_kernels
        from videoscene_rt.engines.kernels.launch import Launch

        function = load_kernels(device, "watch.cu", ("vsrt_watch",))["vsrt_watch"]
        self._device = device
        self._names = tuple(shapes)
        pairs = (slots, len(shapes), _PAIR)
        self._block = device.block(prod(pairs) * 4, "mapped")
        self._found = host_array(self._block, "int32", pairs)
        self._found[:] = 0
        self._state = device.allocate("int32", (_STATE,))
        self._beside = device.allocate("int32", (1,))
        device.synchronize()  # both are zero from here on, whatever stream the kernel runs on
        self._values: dict[tuple[int, str], ctypes.c_void_p] = {}
        self._counts: dict[tuple[int, str], ctypes.c_uint32] = {}
        self._launches: dict[tuple[int, str], Launch] = {}
        for slot in range(slots):
            for index, (name, shape) in enumerate(shapes.items()):
                key, total = (slot, name), prod(shape)
                self._values[key], self._counts[key] = ctypes.c_void_p(), ctypes.c_uint32()
                blocks, threads = grid(total)
                to = self._block.pointer + (slot * len(shapes) + index) * _PAIR * 4
                self._launches[key] = Launch(
                    device,
                    function,
                    blocks,
                    threads,
                    (
                        self._values[key],
                        self._counts[key],
                        ctypes.c_void_p(self._beside.pointer),
                        ctypes.c_void_p(to),
                        ctypes.c_void_p(self._state.pointer),
                    ),
                )

    @property
    def names(self) -> Sequence[str]:
        """The inputs that it knows."""
        return self._names

    def clear(self, slot: int) -> None:
        """Nothing is found for a slot; no step is using it."""
        self._found[slot] = 0

    def enqueue(self, slot: int, name: str, pointer: int, count: int, stream: int) -> None:
        """Put the look at some values onto a stream.

        Args:
            slot, name: of the input.
            pointer: of the values, at a multiple of 16 bytes.
            count: how many.
            stream: its handle; every look is put onto the same one.
        """
        self._values[slot, name].value, self._counts[slot, name].value = pointer, count
        self._device.use()
        self._launches[slot, name](stream)

    def found(self, slot: int) -> dict[str, int]:
        """By input, how many values are not finite, where there are any; when the stream is done with them."""
        counts = self._found[slot, :, 0]
        return {name: int(count) for name, count in zip(self._names, counts, strict=True) if count}
