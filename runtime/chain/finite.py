"""Whether what a step is given is finite: host arrays are looked at before anything is copied."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from videoscene_rt.chain.arrays import CLOUD, Given
from videoscene_rt.engines.errors import InputError


def check_finite(arrays: Mapping[str, Given]) -> None:
    """Refuse host arrays with NaN or infinity, within the rows that the step will read. Arrays on the device are not looked at here.

    A sum says it at once: it is not finite if any value is not. Where it overflows without one, every value is looked at.

    Raises:
        InputError: names the input, and the first such value.
    """
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            continue
        read = array[: rows_read(name, arrays)]
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.add.reduce(read, axis=None)
        if np.isfinite(total):
            continue
        bad = ~np.isfinite(read)
        if bad.any():
            first = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
            index = ",".join(map(str, first))
            raise InputError(
                f"{name}[{index}] is {read[first]}; needs a finite float32 ({int(bad.sum())} such values in all)",
                "remove the points without a position" if name == "xyz" else None,
            )


def rows_read(name: str, arrays: Mapping[str, Given]) -> int | None:
    """How many rows of an input this step reads, where the host knows a number smaller than all; else None."""
    count = arrays.get("num_points")
    return int(count[0]) if name in CLOUD and isinstance(count, np.ndarray) and count.size == 1 else None
