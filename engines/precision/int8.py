"""FP32 graph → explicit symmetric Q/DQ around its linear layers: activations per tensor, weights per output channel."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from videoscene_rt.engines.precision.placement import Choice
from videoscene_rt.engines.precision.recipe import Int8
from videoscene_rt.engines.precision.source import add_constant, constant, float_array, weight_tensor

_STEPS = 127
_SMALLEST = float(np.finfo(np.float16).smallest_subnormal)


def select_layers(model: ir.Model, recipe: Int8) -> dict[str, Choice]:
    """Every linear layer of a graph (a MatMul with constant weights) by name: INT8, or why it is not.

    Returns:
        Choices whose precision is "int8", or "" for a layer that keeps what the other rules give it.
    """
    layers = [node for node in model.graph if node.op_type == "MatMul" and constant(node.inputs[1]) is not None]
    ends = recipe.ends.kept(_count_blocks(model, recipe.ends.prefix))
    return {node.name or "": _select(node.name or "", recipe, ends) for node in layers}


def insert_qdq(model: ir.Model, layers: Mapping[str, Choice], ranges: Mapping[str, float], fold_weights: bool) -> None:
    """Put Q/DQ in front of both operands of the INT8 layers, in place; all scales are float32 and every zero point is int8 zero.

    Args:
        model: the FP32 graph.
        layers: from `select_layers`.
        ranges: the magnitude that 127 stands for, by activation, from `activation_ranges`.
        fold_weights: store weights as int8 with a DequantizeLinear; else as they are, with both nodes (TensorRT 8.6 wants that).
    """
    quantised: dict[str, ir.Value] = {}
    for node in list(model.graph):
        if node.name not in layers or layers[node.name].precision != "int8":
            continue
        activation, weight = node.inputs
        if activation.name not in quantised:
            scale = _scale(np.array(ranges[activation.name], np.float32))
            quantised[activation.name] = _pair(model.graph, node, activation, scale, None)
        if weight.name not in quantised:
            array = float_array(weight_tensor(weight))
            scale = _scale(np.abs(array).max(axis=tuple(range(array.ndim - 1))))
            axis = array.ndim - 1
            if fold_weights:
                quantised[weight.name] = _folded(model.graph, node, weight, scale, axis)
            else:
                quantised[weight.name] = _pair(model.graph, node, weight, scale, axis)
        node.replace_input_with(0, quantised[activation.name])
        node.replace_input_with(1, quantised[weight.name])


def quantised_inputs(model: ir.Model, layers: Mapping[str, Choice]) -> list[str]:
    """The activations in front of the INT8 layers, each once, in the graph's order."""
    names = [
        node.inputs[0].name for node in model.graph if node.name in layers and layers[node.name].precision == "int8"
    ]
    return list(dict.fromkeys(names))


def _select(name: str, recipe: Int8, ends: frozenset[int]) -> Choice:
    for rule in recipe.keep:
        if rule.selects(name, "MatMul"):
            return Choice("", rule.nodes, rule.why)
    block = _block(name, recipe.ends.prefix)
    if block is not None and block in ends:
        numbers = ",".join(map(str, sorted(ends)))
        return Choice("", f"{recipe.ends.prefix}{{{numbers}}}.**", recipe.ends.why)
    for rule in recipe.quantize:
        if rule.selects(name, "MatMul"):
            return Choice("int8", rule.nodes, rule.why)
    return Choice("", "**", "no rule names it: INT8 is only for what the recipe names")


def _block(name: str, prefix: str) -> int | None:
    found = re.match(re.escape(prefix) + r"(\d+)\.", name)
    return int(found.group(1)) if found else None


def _count_blocks(model: ir.Model, prefix: str) -> int:
    numbers = {_block(node.name or "", prefix) for node in model.graph} - {None}
    return len(numbers)


def _scale(largest: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """range / 127, rounded to FP16 (the typed graph stores it so; both must quantise alike), never 0."""
    rounded = (largest / _STEPS).astype(np.float16).astype(np.float32)
    return np.maximum(rounded, np.float32(_SMALLEST)).astype(np.float32)


def _pair(
    graph: ir.Graph, reader: ir.Node, value: ir.Value, scale: npt.NDArray[np.float32], axis: int | None
) -> ir.Value:
    scale_value, zero = _parameters(graph, value.name or "", scale)
    attributes = {} if axis is None else {"axis": axis}
    quantize = ir.node("QuantizeLinear", [value, scale_value, zero], attributes, name=f"{value.name}/QuantizeLinear")
    quantize.outputs[0].name = f"{value.name}.int8"
    quantize.outputs[0].dtype, quantize.outputs[0].shape = ir.DataType.INT8, value.shape
    graph.insert_before(reader, quantize)
    return _dequantized(graph, reader, quantize.outputs[0], scale_value, zero, axis, value)


def _folded(graph: ir.Graph, reader: ir.Node, weight: ir.Value, scale: npt.NDArray[np.float32], axis: int) -> ir.Value:
    tensor = weight_tensor(weight)
    scale_value, zero = _parameters(graph, weight.name or "", scale)
    stored = ir.LazyTensor(
        lambda: ir.tensor(_rounded(float_array(tensor), scale)), dtype=ir.DataType.INT8, shape=ir.Shape(tensor.shape)
    )
    value = add_constant(graph, f"{weight.name}.int8", stored)
    return _dequantized(graph, reader, value, scale_value, zero, axis, weight)


def _parameters(graph: ir.Graph, name: str, scale: npt.NDArray[np.float32]) -> tuple[ir.Value, ir.Value]:
    return (
        add_constant(graph, f"{name}.scale", ir.tensor(scale)),
        add_constant(graph, f"{name}.zero_point", ir.tensor(np.zeros(scale.shape, np.int8))),
    )


def _dequantized(
    graph: ir.Graph,
    reader: ir.Node,
    value: ir.Value,
    scale: ir.Value,
    zero: ir.Value,
    axis: int | None,
    like: ir.Value,
) -> ir.Value:
    attributes = {} if axis is None else {"axis": axis}
    node = ir.node("DequantizeLinear", [value, scale, zero], attributes, name=f"{like.name}/DequantizeLinear")
    result = node.outputs[0]
    result.name, result.dtype, result.shape = f"{like.name}.dequantized", ir.DataType.FLOAT, like.shape
    graph.insert_before(reader, node)
    return result


def _rounded(array: npt.NDArray[np.float32], scale: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """Nearest, ties to even, as QuantizeLinear rounds; within ±127."""
    rounded: npt.NDArray[np.int8] = np.clip(np.rint(array / scale), -_STEPS, _STEPS).astype(np.int8)
    return rounded
