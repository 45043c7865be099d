"""Calibration: what range each activation in front of an INT8 layer takes, from ONNX Runtime's histogram collector."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from videoscene_rt.engines.activations import GraphActivations
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.precision.observe import whole_values

_BINS = 2048


def activation_ranges(
    path: Path, names: Iterable[str], activations: GraphActivations, percentile: float
) -> dict[str, float]:
    """The magnitude under which ``percentile`` % of each activation's values lie, over every sample together.

    Args:
        path: the FP32 graph.
        names: the activations, float32.
        activations: the recorded inputs.
        percentile: 100 is the largest magnitude.

    Raises:
        BackendError: an activation is not finite, or ONNX Runtime cannot run the graph.
    """
    from onnxruntime.quantization.calibrate import HistogramCollector

    ranges: dict[str, float] = {}
    for name, arrays in whole_values(path, names, activations):
        if not all(np.isfinite(array).all() for array in arrays):
            raise BackendError(f"{path.name}: {name} is not finite in the FP32 reference, so nothing can be calibrated")
        collector = HistogramCollector("percentile", True, _BINS, 128, percentile, "same")
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
            collector.collect({name: arrays})
            low, high = collector.compute_collection_result()[name][:2]
        ranges[name] = float(max(abs(float(low)), abs(float(high))))
    return ranges
