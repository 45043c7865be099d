"""FP32 graph → typed graph: FP16 where the placement says so, casts at the borders, the same inputs and outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from videoscene_rt.engines.precision.placement import Choice
from videoscene_rt.engines.precision.source import add_constant, constant, float_array, float_inputs

_HALF, _FLOAT = ir.DataType.FLOAT16, ir.DataType.FLOAT
_SUFFIX = {_HALF: "fp16", _FLOAT: "fp32"}


def to_typed(model: ir.Model, choices: Mapping[str, Choice], half: Collection[str] = ()) -> None:
    """Turn an FP32 graph, in place, into one whose every value has the type it is computed in.

    Weights of FP16 nodes are stored as FP16 (one copy for all their readers); a value that crosses a border is cast
    once for each type. Inputs and outputs of the graph keep their names, and their types but for those in ``half``.

    Args:
        model: the graph, with or without Q/DQ, its nodes in an order in which they can run.
        choices: from `place`, of the same graph.
        half: inputs and outputs that become FP16.
    """
    for value in model.graph.inputs:
        if value.name in half:
            value.dtype = _HALF
    cast = _Casts(model.graph)
    for node in list(model.graph):
        choice = choices.get(node.name or "")
        if choice is None or node.op_type == "Cast":
            continue
        dtype = _HALF if choice.precision == "fp16" else _FLOAT
        for index, value in list(float_inputs(node)):
            node.replace_input_with(index, cast.to(value, dtype, node))
        for value in node.outputs:
            if value.dtype == _FLOAT and dtype == _HALF:
                value.dtype = _HALF
    for index, value in enumerate(model.graph.outputs):
        wanted = _HALF if value.name in half else _FLOAT
        if value.dtype in _SUFFIX and value.dtype != wanted:
            model.graph.outputs[index] = cast.to_output(value, wanted)


class _Casts:
    """Gives a value in another type, made once."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._made: dict[tuple[str, ir.DataType], ir.Value] = {}

    def to(self, value: ir.Value, dtype: ir.DataType, reader: ir.Node) -> ir.Value:
        if value.dtype == dtype:
            return value
        key = (value.name or "", dtype)
        if key not in self._made:
            tensor = constant(value)
            self._made[key] = self._cast(value, dtype, reader) if tensor is None else self._half(value, tensor)
        return self._made[key]

    def to_output(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """The output of another type that takes over the name of a value."""
        name, producer, own = value.name, value.producer(), _SUFFIX[value.dtype or _FLOAT]
        value.name = f"{name}.{own}"
        node = ir.node("Cast", [value], attributes={"to": dtype}, name=f"{name}/Cast_to_{_SUFFIX[dtype]}")
        node.outputs[0].name, node.outputs[0].shape, node.outputs[0].dtype = name, value.shape, dtype
        self._graph.insert_after(producer, node)
        return node.outputs[0]

    def _cast(self, value: ir.Value, dtype: ir.DataType, reader: ir.Node) -> ir.Value:
        suffix = _SUFFIX[dtype]
        node = ir.node("Cast", [value], attributes={"to": dtype}, name=f"{value.name}/Cast_to_{suffix}")
        made = node.outputs[0]
        made.name, made.shape, made.dtype = f"{value.name}.{suffix}", value.shape, dtype
        self._graph.insert_before(reader, node)
        return made

    def _half(self, value: ir.Value, tensor: ir.TensorProtocol) -> ir.Value:
        producer = value.producer()
        if tensor.dtype == _HALF and producer is not None:
            return producer.inputs[0]
        return add_constant(
            self._graph,
            f"{value.name}.fp16",
            ir.LazyTensor(lambda: ir.tensor(_narrowed(tensor)), dtype=_HALF, shape=ir.Shape(tensor.shape)),
        )


def _narrowed(tensor: ir.TensorProtocol) -> np.ndarray:
    with np.errstate(over="ignore"):
        return float_array(tensor).astype(np.float16)
