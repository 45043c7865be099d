"""How far one output is from the reference's.

The distances are Polygraphy's (its L2 and cosine comparators); the PSNR of a picture follows from its L2 with a peak of 255.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.gates import Limits

EQUAL_PSNR = 200.0
"""Stands for the PSNR of equal pictures, dB; one different level in 2^50 pixels is at 199."""

_FLOOR = 1e-6
"""A reference whose root mean square is below this counts as zero: its relative error is taken against this instead."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figures(_Data):
    """How far one output is from the reference's, at its worst.

    Attributes:
        relative_l2: ‖engine − reference‖ / ‖reference‖; None where the engine's is not finite.
        cosine: cosine similarity, of floating-point outputs; None otherwise, and where it is not finite.
        psnr: dB with peak 255, of pictures (uint8[…,H,W,3]); None otherwise. `EQUAL_PSNR` if they are equal.
        nonfinite: how many values of the engine's are NaN or infinite.
        unequal: how many whole numbers differ, of int32 outputs; None otherwise.
    """

    relative_l2: float | None
    cosine: float | None = None
    psnr: float | None = None
    nonfinite: int = 0
    unequal: int | None = None

    def worse(self, other: Figures) -> Figures:
        """The worse of each figure."""
        return Figures(
            relative_l2=None
            if self.relative_l2 is None or other.relative_l2 is None
            else max(self.relative_l2, other.relative_l2),
            cosine=_worse(min, self.cosine, other.cosine),
            psnr=_worse(min, self.psnr, other.psnr),
            nonfinite=self.nonfinite + other.nonfinite,
            unequal=_worse(max, self.unequal, other.unequal),
        )


class Failure(_Data):
    """A figure beyond its limit. ``text`` is how a person reads it: "relative L2 of z_0 is 0.31 on room-1, limit 0.1"."""

    scene: str
    output: str
    figure: str
    value: float | None
    limit: float

    @property
    def text(self) -> str:
        """See above."""
        value = "not a number" if self.value is None else f"{self.value:.4g}"
        return f"{self.figure} of {self.output} is {value} on {self.scene}, limit {self.limit:g}"


Distances = Callable[[npt.NDArray[Any], npt.NDArray[Any]], tuple[float, float]]


def measure(expected: npt.NDArray[Any], found: npt.NDArray[Any], distances: Distances) -> Figures:
    nonfinite = int(found.size - np.isfinite(found).sum())
    whole = expected.dtype.kind == "i"
    unequal = int((expected != found).sum()) if whole else None
    if nonfinite:
        return Figures(relative_l2=None, nonfinite=nonfinite, unequal=unequal)
    # Pixels and whole numbers are exact in float32 and float64; their own types would wrap around.
    kind = np.float32 if expected.dtype.itemsize == 1 else np.float64
    reference, candidate = expected.astype(kind), found.astype(kind)
    distance, cosine = distances(reference, candidate)
    norm, _ = distances(reference, np.zeros_like(reference))
    floor = _FLOOR * math.sqrt(expected.size)
    return Figures(
        relative_l2=distance / max(norm, floor),
        cosine=(cosine if norm > floor else 1.0) if expected.dtype.kind == "f" else None,
        psnr=_psnr(distance, expected.size) if _is_picture(expected) else None,
        unequal=unequal,
    )


def _psnr(distance: float, size: int) -> float:
    """20·log₁₀(255 / RMSE) in dB, RMSE = ‖difference‖ / √size."""
    return 20 * math.log10(255 * math.sqrt(size) / distance) if distance else EQUAL_PSNR


def _is_picture(array: npt.NDArray[Any]) -> bool:
    return array.dtype == np.uint8 and array.ndim >= 3 and array.shape[-1] == 3


def judge_figures(scene: str, output: str, figures: Figures, limits: Limits) -> Iterator[Failure]:
    def failure(figure: str, value: float | None, limit: float) -> Failure:
        return Failure(scene=scene, output=output, figure=figure, value=value, limit=limit)

    if figures.nonfinite:
        yield failure("count of NaN and infinities", figures.nonfinite, 0)
        return
    if figures.unequal is not None:
        if figures.unequal:
            yield failure("count of unequal values", figures.unequal, 0)
        return
    if figures.psnr is not None and limits.psnr is not None:
        if not figures.psnr >= limits.psnr:
            yield failure("PSNR", figures.psnr, limits.psnr)
        return
    if limits.relative_l2 is not None and not (
        figures.relative_l2 is not None and figures.relative_l2 <= limits.relative_l2
    ):
        yield failure("relative L2", figures.relative_l2, limits.relative_l2)
    if limits.cosine is not None and figures.cosine is not None and not figures.cosine >= limits.cosine:
        yield failure("cosine similarity", figures.cosine, limits.cosine)


def _worse(choose: Callable[..., Any], one: Any, other: Any) -> Any:
    known = [value for value in (one, other) if value is not None]
    return choose(known) if known else None


def comparators() -> tuple[str, Distances]:
    """Polygraphy's name with its version, and its L2 norm of a difference and cosine similarity of two arrays."""
    try:
        import polygraphy
        from polygraphy.comparator import CosineSimilarityCompareFunc, IterationResult, L2CompareFunc
        from polygraphy.logger import G_LOGGER
    except ImportError as error:
        raise BackendError(
            f"the gate needs polygraphy 0.53 or later: {error}", "pip install 'videoscene-rt[build]'"
        ) from error
    l2, cosine = L2CompareFunc(), CosineSimilarityCompareFunc()

    def distances(reference: npt.NDArray[Any], candidate: npt.NDArray[Any]) -> tuple[float, float]:
        # Its own verdicts, on limits that are not ours, are not told.
        with G_LOGGER.verbosity(G_LOGGER.CRITICAL), _without_torch():
            one, other = (IterationResult({"output": array}) for array in (reference, candidate))
            return l2(one, other)["output"].l2_norm, cosine(one, other)["output"].cosine_similarity

    return f"polygraphy {polygraphy.__version__}", distances


@contextmanager
def _without_torch() -> Iterator[None]:
    """Polygraphy asks whether an array is torch's by importing torch, whatever that raises: a Ctrl-C meanwhile was lost, and half a torch
    ended the process. Ours are NumPy's, so it is told that there is no torch, unless there is one already."""
    arrays = importlib.import_module("polygraphy.util.array")
    torch = getattr(arrays, "torch", None)
    if torch is None or "torch" in sys.modules:
        yield
        return
    arrays.torch = _Absent()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        arrays.torch = torch  # type: ignore[attr-defined]


class _Absent:
    """A module that is not there, as Polygraphy asks of its lazy ones."""

    def is_installed(self) -> bool:
        return False

    def is_importable(self) -> bool:
        return False
