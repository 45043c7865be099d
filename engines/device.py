"""What the chain needs of a device: memory, streams, events, copies and capture. The host is a device whose streams run at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Place = Literal["device", "pinned", "mapped"]
"""Where memory lies: on the device; on the host, page-locked; on the host, page-locked and addressed by the device as well."""


@dataclass(frozen=True)
class Block:
    """Zeroed memory, at a multiple of 256 bytes; it lives as long as ``owner`` does.

    Attributes:
        pointer: its address as the device sees it. host_pointer: as the host sees it; None where it does not.
        nbytes: its size.
        owner: keeps it alive.
    """

    pointer: int
    nbytes: int
    owner: Any
    host_pointer: int | None = None


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

    def record(self, event: Event | None = None) -> Event:
        """Mark this point with an event, or with a new one."""

    def wait(self, event: Event) -> None:
        """What comes after runs after the event."""

    def synchronize(self) -> None:
        """Wait for everything that was put on it.

        Raises:
            BackendError: something failed.
        """


class Device(Protocol):
    """One device of this process.

    Attributes:
        kind: "cpu" or "cuda", as `TensorView.device` says it.
        captures: whether work can be captured into a graph.
        unified: whether host and device share memory.
    """

    kind: str
    captures: bool
    unified: bool

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

    def stream(self, priority: int = 0) -> Stream:
        """A new stream, that waits for no other."""

    def event(self, timing: bool = False) -> Event:
        """A new event."""

    def elapsed_ms(self, begin: Event, end: Event) -> float:
        """Between two events made with timing, both done."""

    def copy(self, target: int, source: int, nbytes: int, stream: Stream) -> None:
        """Copy between two addresses in a stream's order, without waiting. Host memory must be page-locked to overlap."""

    def capture(self, stream: Stream, enqueue: Callable[[], None]) -> Callable[[Stream], None]:
        """Capture what ``enqueue`` puts on ``stream``, and on streams it forks to and joins again.

        Returns:
            Launches it on a stream, without waiting.

        Raises:
            BackendError: it cannot be captured; nothing was run.
        """
