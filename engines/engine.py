"""The one interface behind which every backend stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.specs import Signature

if TYPE_CHECKING:
    from videoscene_rt.engines.device import Device
    from videoscene_rt.engines.memory import Memory


@lru_cache(maxsize=64)
def dtype_name(dtype: np.dtype[Any]) -> str:
    """NumPy's name of a dtype, "float32". NumPy makes it anew in Python whenever it is asked, and a step asks a dozen times."""
    return dtype.name


@dataclass(frozen=True)
class TensorView:
    """A dense, C-contiguous piece of memory somebody else owns.

    ``pointer`` is its address on ``device`` ("cpu" or "cuda"); ``owner`` keeps the memory alive as long as the view lives.
    """

    pointer: int
    dtype: str
    shape: tuple[int, ...]
    device: str
    owner: Any

    @classmethod
    def of_numpy(cls, array: npt.NDArray[Any]) -> TensorView:
        """A view of a NumPy array's memory; nothing is copied.

        Raises:
            ValueError: the array is not C-contiguous.
        """
        if not array.flags.c_contiguous:
            raise ValueError("only C-contiguous arrays can be bound")
        return cls(array.ctypes.data, dtype_name(array.dtype), array.shape, "cpu", array)


class Context(Protocol):
    """One use of an engine: every input and output bound to fixed memory. Bind once, enqueue every step."""

    def bind(self, name: str, view: TensorView) -> None:
        """Bind an input or output to memory.

        Raises:
            BackendError: the graph has no such tensor, or dtype, shape or device do not fit.
        """

    def enqueue(self, stream: int | None = None) -> None:
        """Run the graph once over the bound memory; on a device, on ``stream`` and without waiting.

        Raises:
            BackendError: something is not bound, or the backend failed.
        """


class Engine(Protocol):
    """A graph, or a kernel, that can run on a device."""

    @property
    def spec(self) -> Signature:
        """What it takes and gives."""

    @property
    def scratch_bytes(self) -> int:
        """Device memory that a run needs beside inputs, outputs and weights; 0 where the backend sees to that itself."""

    def context(self, scratch: int | None = None) -> Context:
        """A new, unbound use of this engine; contexts share its weights.

        Args:
            scratch: the address of `scratch_bytes` of device memory, at a multiple of 512, which nothing that runs at the same
                time may use, and which outlives the context; None gives the context memory of its own.

        Raises:
            BackendError: there is not enough memory.
        """


class Backend(Protocol):
    """Loads the graphs of a bundle for one device."""

    @property
    def name(self) -> str:
        """As the command line spells it."""

    @property
    def device(self) -> str:
        """Where its buffers live: "cpu" or "cuda"."""

    @property
    def versions(self) -> dict[str, str]:
        """Version of what runs the graphs, by package."""

    @property
    def runs_on(self) -> Device:
        """The device: its memory, streams and events."""

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> Memory:
        """Zeroed memory on its device.

        Raises:
            BackendError: there is not enough.
        """

    def synchronize(self) -> None:
        """Wait until everything that was enqueued is done."""

    def load(self, bundle: Bundle, graph: str) -> Engine:
        """Load a graph.

        Raises:
            InputError: the bundle has no such graph.
            BackendError: the backend cannot run it.
        """
