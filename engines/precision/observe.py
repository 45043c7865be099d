"""Running the FP32 graph on recorded inputs and looking at what lies inside it, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from videoscene_rt.engines.activations import GraphActivations
from videoscene_rt.engines.errors import BackendError

_BUDGET = 512 << 20


def largest_magnitudes(path: Path, names: Iterable[str], activations: GraphActivations) -> dict[str, tuple[float, str]]:
    """The largest |x| of values inside a graph over every sample, and the scene in which it was.

    The graph itself reduces each value to one number, so nothing but those is kept.

    Args:
        path: the FP32 graph.
        names: which values, float32.
        activations: the recorded inputs.

    Raises:
        BackendError: ONNX Runtime cannot run the graph.
    """
    model = ir.load(path)
    values = {value.name: value for node in model.graph for value in node.outputs}
    wanted = {name: f"{name}.largest" for name in names}
    model.graph.outputs.clear()
    for name, reduced in wanted.items():
        magnitude = ir.node("Abs", [values[name]], name=f"{reduced}/Abs")
        largest = ir.node("ReduceMax", magnitude.outputs, attributes={"keepdims": 0}, name=f"{reduced}/ReduceMax")
        largest.outputs[0].name, largest.outputs[0].dtype = reduced, ir.DataType.FLOAT
        largest.outputs[0].shape = ir.Shape(())
        model.graph.extend([magnitude, largest])
        model.graph.outputs.append(largest.outputs[0])
    found: dict[str, tuple[float, str]] = {}
    session = _session(model, path)
    for sample in activations.samples:
        for name, number in zip(wanted, session.run(list(wanted.values()), sample.inputs), strict=True):
            size = float(number) if np.isfinite(number) else float("inf")
            if name not in found or size > found[name][0]:
                found[name] = (size, sample.scene)
    return found


def whole_values(
    path: Path, names: Iterable[str], activations: GraphActivations, budget: int = _BUDGET
) -> Iterator[tuple[str, list[npt.NDArray[np.float32]]]]:
    """Values inside a graph, each over all samples; in groups that together take at most ``budget`` bytes (or one value).

    Args:
        path: the FP32 graph.
        names: which values, float32 with static shapes; inputs of the graph are allowed.
        activations: the recorded inputs.
        budget: bytes.

    Raises:
        BackendError: ONNX Runtime cannot run the graph.
    """
    for group in _grouped(path, names, budget // max(len(activations.samples), 1)):
        model = ir.load(path)
        values = {value.name: value for node in model.graph for value in node.outputs}
        inner = [name for name in group if name in values]
        model.graph.outputs.clear()
        model.graph.outputs.extend([values[name] for name in inner])
        session = _session(model, path) if inner else None
        runs = [session.run(inner, sample.inputs) if session else [] for sample in activations.samples]
        for name in group:
            if name in values:
                yield name, [run[inner.index(name)] for run in runs]
            else:
                yield name, [sample.inputs[name] for sample in activations.samples]


def _grouped(path: Path, names: Iterable[str], budget: int) -> Iterator[list[str]]:
    graph = ir.load(path).graph
    shapes = {value.name: value.shape for value in (*graph.inputs, *(out for node in graph for out in node.outputs))}
    group: list[str] = []
    taken = 0
    for name in names:
        size = 4 * prod(shapes[name].numpy())
        if group and taken + size > budget:
            yield group
            group, taken = [], 0
        group.append(name)
        taken += size
    if group:
        yield group


def _session(model: ir.Model, path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent.resolve()))
    try:
        return onnxruntime.InferenceSession(
            ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base
        raise BackendError(
            f"{path.name}: ONNX Runtime cannot run it with its inner values as outputs: {error}"
        ) from error
