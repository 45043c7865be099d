"""What a student computes from the timestep alone, for each of the policy's candidates once, in a table.

The time embedding, every AdaLN layer's linear map and the schedule's coefficients depend on nothing else: matrices that a step reads to
multiply one row, nearly half of the parameters of a small student. They are computed here, by ONNX Runtime in FP32 as in the
reference, and one row of a table takes their place:

    timestep ─▶ row = number_of[timestep] ─▶ table[row] ─▶ split ─▶ the values, under their names

A timestep that is no candidate gets the last row, which is NaN: its result is marked invalid, never passed on as good.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from videoscene_rt.engines.precision.source import add_constant, constant
from videoscene_rt.engines.preset import TIMESTEPS
from videoscene_rt.engines.rewrite import NotApplicable

_SCOPE = "graph/timestep_table"
_INPUT = "timestep"


def rewrite(model: ir.Model, timesteps: Sequence[int]) -> str:
    """See `videoscene_rt.engines.rewrite.apply`."""
    graph = model.graph
    timestep = next((value for value in graph.inputs if value.name == _INPUT), None)
    if timestep is None:
        raise NotApplicable(f"it has no input {_INPUT}")
    of_it = _depends_on(graph, timestep)
    inside = {value for node in of_it for value in node.outputs}
    ends = [value for node in of_it for value in node.outputs if any(use.node not in of_it for use in value.uses())]
    _check(ends, inside, timesteps)
    rows = _rows(model, timestep, ends, timesteps)
    before = sum(1 for _ in graph)
    _look_up(graph, timestep, ends, rows, timesteps)
    for node in reversed(list(of_it)):
        graph.remove(node, safe=True)
    after = sum(1 for _ in graph)
    return f"values of the timestep in a table of {len(timesteps)} × {rows.shape[1]:,}: {before} nodes became {after}"


def _depends_on(graph: ir.Graph, timestep: ir.Value) -> dict[ir.Node, None]:
    """The nodes that read the timestep, what was computed of it, and constants, and nothing else; in the graph's order."""
    values: set[ir.Value | None] = {timestep}
    nodes: dict[ir.Node, None] = {}
    for node in graph:
        varying = [value for value in node.inputs if value is not None and constant(value) is None]
        if varying and all(value in values for value in varying):
            nodes[node] = None
            values.update(node.outputs)
    return nodes


def _check(ends: list[ir.Value], inside: set[ir.Value], timesteps: Sequence[int]) -> None:
    if not ends or not timesteps:
        raise NotApplicable("nothing depends on the timestep alone" if timesteps else "there are no candidates")
    if any(value.is_graph_output() for value in inside):
        raise NotApplicable("an output depends on the timestep alone")
    odd = next((value for value in ends if value.dtype != ir.DataType.FLOAT or _shape(value) is None), None)
    if odd is not None:
        raise NotApplicable(f"{odd.name} is no float32 value of a known shape")


def _shape(value: ir.Value) -> list[int] | None:
    """A value's sizes, if every one is known."""
    known = [] if value.shape is None else [size for size in value.shape if isinstance(size, int)]
    return known if value.shape is not None and len(known) == len(value.shape) else None


def _rows(
    model: ir.Model, timestep: ir.Value, ends: list[ir.Value], timesteps: Sequence[int]
) -> npt.NDArray[np.float32]:
    """For each candidate its values, side by side: float32[candidates, N]."""
    import onnxruntime as ort

    part = ir.Model(
        ir.convenience.extract(model.graph, [timestep], ends),
        ir_version=model.ir_version,
        producer_name="videoscene-rt",
    )
    with tempfile.TemporaryDirectory(prefix="vsrt-timesteps-") as folder:
        path = Path(folder) / "part.onnx"
        ir.save(part, path, external_data="part.data")
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        runs = [session.run(None, {_INPUT: np.array([one], np.int32)}) for one in timesteps]
        del session  # it has the file open, which some systems cannot remove
    return np.stack([np.concatenate([np.ravel(value) for value in run]) for run in runs]).astype(np.float32)


def _look_up(
    graph: ir.Graph,
    timestep: ir.Value,
    ends: list[ir.Value],
    rows: npt.NDArray[np.float32],
    timesteps: Sequence[int],
) -> None:
    """Put the table in front of everything; each value is replaced by one of its name."""
    number_of = np.full(TIMESTEPS, len(timesteps), np.int32)
    number_of[list(timesteps)] = np.arange(len(timesteps))
    table = np.concatenate([rows, np.full((1, rows.shape[1]), np.nan, np.float32)])
    sizes = [prod(_shape(end) or [1]) for end in ends]
    rank = add_constant(graph, f"{_SCOPE}.number_of", ir.tensor(number_of))
    values = add_constant(graph, f"{_SCOPE}.values", ir.tensor(table))
    lengths = add_constant(graph, f"{_SCOPE}.sizes", ir.tensor(np.array(sizes, np.int64)))
    row = _node("Gather", [rank, timestep], "row", ir.DataType.INT32, [1])
    found = _node("Gather", [values, row.outputs[0]], "found", ir.DataType.FLOAT, [1, rows.shape[1]])
    split = ir.node("Split", [found.outputs[0], lengths], {"axis": 1}, num_outputs=len(ends), name=f"{_SCOPE}/Split")
    made = [row, found, split]
    for number, (end, piece, size) in enumerate(zip(ends, split.outputs, sizes, strict=True)):
        name, shape = end.name, _shape(end) or []
        piece.name, piece.dtype, piece.shape = f"{_SCOPE}.piece_{number}", ir.DataType.FLOAT, ir.Shape([1, size])
        target = add_constant(graph, f"{_SCOPE}.shape_{number}", ir.tensor(np.array(shape, np.int64)))
        turned = _node("Reshape", [piece, target], f"value_{number}", ir.DataType.FLOAT, shape)
        end.name = f"{name}.computed"
        value = turned.outputs[0]
        value.name = name
        end.replace_all_uses_with(value)
        made.append(turned)
    graph.insert_before(graph[0], made)


def _node(operator: str, inputs: list[ir.Value], what: str, dtype: ir.DataType, shape: list[int]) -> ir.Node:
    node = ir.node(operator, inputs, name=f"{_SCOPE}.{what}/{operator}")
    value = node.outputs[0]
    value.name, value.dtype, value.shape = f"{_SCOPE}.{what}", dtype, ir.Shape(shape)
    return node
