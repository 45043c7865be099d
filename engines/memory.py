"""Memory of a device, as the chain uses it: allocated once, written and read from the host, bound in slices."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.slices import Index


class Memory(Protocol):
    """A dense array on a device."""

    @property
    def dtype(self) -> str:
        """NumPy's name of its elements' type."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""

    @property
    def host(self) -> npt.NDArray[Any] | None:
        """The same memory as the host sees it, a view that orders nothing; None where the host does not see it."""

    def view(self, index: Index = ()) -> TensorView:
        """A contiguous part of it, to bind."""

    def write(self, array: npt.NDArray[Any]) -> None:
        """Copy a host array to its front along the first axis; what lies behind keeps what it had."""

    def read(self) -> npt.NDArray[Any]:
        """Its content on the host; without a copy where it lies there already."""


class HostMemory:
    """`Memory` in host memory: a NumPy array.

    Args:
        array: the memory; None takes new memory, zero at first.
    """

    def __init__(self, dtype: str, shape: tuple[int, ...], array: npt.NDArray[Any] | None = None) -> None:
        self._array = np.zeros(shape, dtype) if array is None else array
        self.dtype = dtype
        self.shape = shape

    @property
    def host(self) -> npt.NDArray[Any]:
        """See `Memory.host`."""
        return self._array

    def view(self, index: Index = ()) -> TensorView:
        """See `Memory.view`."""
        return TensorView.of_numpy(self._array[index])

    def write(self, array: npt.NDArray[Any]) -> None:
        """See `Memory.write`."""
        self._array[: array.shape[0]] = array

    def read(self) -> npt.NDArray[Any]:
        """See `Memory.read`: a view."""
        return self._array
