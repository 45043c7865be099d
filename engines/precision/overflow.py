"""The overflow scan: which values of a graph FP16 cannot hold, on real activations and among the weights."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx_ir as ir

from videoscene_rt.engines.activations import GraphActivations
from videoscene_rt.engines.precision.observe import largest_magnitudes
from videoscene_rt.engines.precision.placement import Choice
from videoscene_rt.engines.precision.source import FLOATS, constant, float_array

LARGEST = float(np.finfo(np.float16).max)


def wide_activations(
    path: Path,
    model: ir.Model,
    activations: GraphActivations,
    margin: float,
    among: Collection[str] | None = None,
) -> dict[str, str]:
    """Values whose magnitude comes within a factor ``margin`` of FP16's largest number, 65504, with the reason.

    Args:
        path: the FP32 graph's file.
        model: the same graph.
        activations: recorded inputs.
        margin: at least 1.
        among: the only values inside the graph to look at; None looks at all.
    """
    inner = [value.name for node in model.graph for value in node.outputs if _is_activation(value)]
    names = inner if among is None else [name for name in inner if name in among]
    limit = LARGEST / margin
    sizes = {**_largest_inputs(activations), **largest_magnitudes(path, names, activations)}
    return {
        name: f"{name} reached {size:.3g} in scene {scene}; FP16 ends at {LARGEST:.0f}, and a factor {margin:g} is kept free"
        for name, (size, scene) in sizes.items()
        if size > limit
    }


def wide_weights(model: ir.Model, choices: dict[str, Choice]) -> dict[str, str]:
    """Constants that FP16 nodes would read and FP16 cannot hold: beyond its range, or a single number that would become 0."""
    found: dict[str, str] = {}
    for node in model.graph:
        choice = choices.get(node.name or "")
        if choice is None or choice.precision == "fp32":
            continue
        for value in node.inputs:
            tensor = constant(value)
            if value is None or tensor is None or value.dtype not in FLOATS or value.name in found:
                continue
            reason = _misfit(tensor)
            if reason:
                found[value.name or ""] = f"{value.name} {reason}"
    return found


def _largest_inputs(activations: GraphActivations) -> dict[str, tuple[float, str]]:
    found: dict[str, tuple[float, str]] = {}
    for sample in activations.samples:
        for name, array in sample.inputs.items():
            if array.dtype == np.float32:
                found[name] = max(found.get(name, (0.0, "")), (float(np.abs(array).max(initial=0.0)), sample.scene))
    return found


def _misfit(tensor: ir.TensorProtocol) -> str:
    array = np.abs(float_array(tensor))
    largest = float(array.max(initial=0.0))
    if largest > LARGEST:
        return f"holds {largest:.3g}; FP16 ends at {LARGEST:.0f}"
    if array.size == 1 and largest > 0 and np.float16(largest) == 0:
        return f"is {largest:.3g}; FP16 would make it 0"
    return ""


def _is_activation(value: ir.Value) -> bool:
    return value.dtype == ir.DataType.FLOAT and constant(value) is None
