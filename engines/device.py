"""What the chain needs of a device: memory, streams, events, copies and capture. The host is a device whose streams run at once."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from videoscene_rt.engines.memory import Memory

Place = Literal["device", "pinned", "mapped"]
"""Where memory lies: on the device; on the host, page-locked; on the host, page-locked and addressed by the device as well."""

GraphForm = Literal["plain", "device-launch"]
"""How a CUDA graph is instantiated: as ever, or so that the device could launch it too (CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH): it then
lies on the device whole, and a launch costs the host less. Such a graph has kernels, copies on the device and memsets, nothing else."""

ALIGNMENT = 512
"""Bytes. TensorRT wants every bound address at a multiple of 256, and scratch memory at one of the device's texture alignment, 512
(NvInferRuntime.h, setTensorAddress and setDeviceMemory)."""


@dataclass(frozen=True)
class Block:
    """Zeroed memory, at a multiple of `ALIGNMENT`; it lives as long as ``owner`` does.

    Attributes:
        pointer: its address as the device sees it. host_pointer: as the host sees it; None where it does not.
        nbytes: its size.
        owner: keeps it alive.
    """

    pointer: int
    nbytes: int
    owner: Any
    host_pointer: int | None = None


def host_array(block: Block, dtype: str, shape: tuple[int, ...], offset: int = 0) -> npt.NDArray[Any]:
    """A NumPy view of host memory; it keeps the block alive.

    Raises:
        ValueError: the host does not see this block.
    """
    if block.host_pointer is None:
        raise ValueError("this memory lies on the device alone")
    nbytes = prod(shape) * np.dtype(dtype).itemsize
    raw: Any = (ctypes.c_uint8 * nbytes).from_address(block.host_pointer + offset)
    raw._owner = block.owner  # the NumPy array keeps the ctypes array, and that one the memory
    array: npt.NDArray[Any] = np.frombuffer(raw, dtype).reshape(shape)
    return array


class Event(Protocol):
    """A point in a stream's work."""

    @property
    def handle(self) -> int:
        """As the driver names it; 0 on the host."""

    @property
    def done(self) -> bool:
        """Whether everything before it has run."""

    def synchronize(self) -> None:
        """Wait for it.

        Raises:
            BackendError: something before it failed.
        """


class Stream(Protocol):
    """Work in order."""

    @property
    def handle(self) -> int:
        """As the driver names it; 0 on the host."""

    def record(self, event: Any | None = None) -> Event:
        """Mark this point with an event, or with a new one."""

    def wait(self, event: Any) -> None:
        """What comes after runs after the event."""

    def mark(self, event: Any) -> None:
        """Record an event with timing so that it can be read even while this stream is captured."""

    def synchronize(self) -> None:
        """Wait for everything that was put on it.

        Raises:
            BackendError: something failed.
        """


class Device(Protocol):
    """One device of this process. The streams and events that it is given are its own, so they are typed as Any."""

    @property
    def kind(self) -> str:
        """Either "cpu" or "cuda", as `TensorView.device` says it."""

    @property
    def captures(self) -> bool:
        """Whether work can be captured into a graph."""

    @property
    def unified(self) -> bool:
        """Whether host and device share memory."""

    @property
    def name(self) -> str:
        """As the driver names it."""

    @property
    def priorities(self) -> tuple[int, int]:
        """The lowest and the highest priority of a stream: the smaller number goes first."""

    def block(self, nbytes: int, place: Place = "device") -> Block:
        """Zeroed memory.

        Raises:
            BackendError: there is not enough.
        """

    def free_bytes(self) -> int | None:
        """Device memory that nobody has; None where that is not known."""

    def memory(self, dtype: str, shape: tuple[int, ...], block: Block, offset: int = 0) -> Memory:
        """A dense array in a block, ``offset`` bytes from its beginning."""

    def use(self) -> None:
        """Make it the calling thread's device."""

    def new_stream(self, priority: int = 0) -> Stream:
        """A stream that waits for no other.

        Raises:
            InputError: the device has no such priority.
        """

    def event(self, timing: bool = False) -> Event:
        """A new event."""

    def elapsed_ms(self, begin: Any, end: Any) -> float:
        """Between two events made with timing, both done."""

    def record(self, handle: int, event: Any) -> None:
        """Record an event on a stream, anybody's, by its handle; it must be alive."""

    def order(self, handle: int, before: int) -> None:
        """Make the stream ``before`` wait for what the stream ``handle`` has so far; both by their handles, anybody's, and alive."""

    def copy(self, target: int, source: int, nbytes: int, stream: Any) -> None:
        """Copy between two addresses in a stream's order, without waiting. Host memory must be page-locked to overlap."""

    def synchronize(self) -> None:
        """Wait for the device's own stream: what was written through `Memory.write`, and zeroed."""

    def capture(self, stream: Any, enqueue: Callable[[], None], form: GraphForm = "plain") -> Callable[[Any], None]:
        """Capture what ``enqueue`` puts on ``stream``, and on streams it forks to and joins again.

        Args:
            stream: where it begins and ends.
            enqueue: puts the work there; called once.
            form: how the graph is instantiated.

        Returns:
            Launches it on a stream, without waiting.

        Raises:
            BackendError: it cannot be captured; nothing was run.
        """
