"""A derived graph whose weights are inputs: one plan for many layers of the same structure, each with numbers of its own.

A student's blocks differ in nothing but their weights, so a builder that takes most of a minute for one of them need not see the
others: the plan takes the weights where they lie on the device, and runs once for each block. Which form a weight has (turned, in
FP16) is the derived graph's; its values are never computed with before they are read, so any block's can be bound.

A layer norm keeps its sums and loses its scale and shift, which become a product and a sum behind it: not every builder takes them from
anything but constants.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.precision.opset17 import lower
from videoscene_rt.engines.precision.placement import computes
from videoscene_rt.engines.precision.source import add_constant, save_derived

_NARROW = ".fp16"


@dataclass(frozen=True)
class WeightInput:
    """An input that was a weight.

    Attributes:
        name: the input's. weight: the weight's in the graph before it was derived.
        dtype, shape: as the graph reads it.
    """

    name: str
    weight: str
    dtype: str
    shape: tuple[int, ...]


def weights_as_inputs(model: ir.Model, weights: Collection[str]) -> tuple[WeightInput, ...]:
    """Turn weights of a derived, typed graph into inputs, in place, behind the inputs that it has.

    Args:
        model: the graph.
        weights: their names before it was derived; one that a layer reads in FP16 is known by its suffix.

    Returns:
        The inputs, in their order; a weight that is read in two types is there twice.

    Raises:
        BackendError: none of the weights is there.
    """
    graph = model.graph
    held = {name: value for name, value in graph.initializers.items() if name.removesuffix(_NARROW) in weights}
    for node in list(graph):
        if node.op_type == "LayerNormalization" and any(value in held.values() for value in node.inputs[1:]):
            _split_norm(graph, node)
    found: list[WeightInput] = []
    for name, value in held.items():
        if not value.uses():
            continue
        tensor = value.const_value
        if tensor is None:
            raise BackendError(f"weight {name} has no value")
        one = WeightInput(
            f"weight_{len(found):02d}", name.removesuffix(_NARROW), tensor.dtype.numpy().name, tuple(tensor.shape)
        )
        given = ir.Value(name=one.name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(one.shape))
        value.replace_all_uses_with(given)
        graph.inputs.append(given)
        del graph.initializers[name]
        found.append(one)
    if not found:
        raise BackendError("the graph has none of the weights that were to become inputs")
    return tuple(found)


def share(path: Path, weights: Collection[str], *, weak: bool) -> tuple[tuple[WeightInput, ...], dict[str, str]]:
    """Do that to a derived ONNX file, in its place.

    Args:
        path: the file.
        weights: see `weights_as_inputs`.
        weak: for TensorRT 8.6, which takes types as hints: in opset 17, with the precision of each node that computes.

    Returns:
        The inputs, and the precisions, which are none for others.
    """
    model = ir.load(path)
    found = weights_as_inputs(model, weights)
    layers = typed_precisions(model) if weak else {}
    if weak:
        lower(model)
    # What is left lies in the file that is written anew; it is little, without the weights.
    for value in model.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            value.const_value = ir.tensor(value.const_value.numpy().copy(), name=value.name)
    save_derived(model, path)
    return found, layers


def typed_precisions(model: ir.Model) -> dict[str, str]:
    """Of a typed graph, the precision of each node that computes, by name: for a builder that takes types as hints."""
    kinds = {ir.DataType.FLOAT: "fp32", ir.DataType.FLOAT16: "fp16"}
    return {
        node.name: kinds[dtype]
        for node in model.graph
        if node.name and computes(node) and (dtype := node.outputs[0].dtype) in kinds
    }


def _split_norm(graph: ir.Graph, node: ir.Node) -> None:
    """LayerNorm(x)·scale + shift in three nodes; the last has the value's name."""
    scale, shift = node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
    out = node.outputs[0]
    if scale is None or scale.dtype != out.dtype or scale.shape is None:
        raise BackendError(f"{node.name}: its scale is not of its own type")
    ones = np.ones([int(size) for size in scale.shape], out.dtype.numpy() if out.dtype else np.float32)
    node.replace_input_with(1, add_constant(graph, f"{out.name}.ones", ir.tensor(ones)))
    if shift is not None:
        node.replace_input_with(2, add_constant(graph, f"{out.name}.zeros", ir.tensor(np.zeros_like(ones))))
    name, own, last = out.name, node.name or "", out
    made = []
    out.name = f"{name}.normed"
    for operator, factor in (("Mul", scale), ("Add", shift)):
        if factor is None:
            continue
        step = ir.node(operator, [last, factor], name=f"{own}.{operator}")
        last = step.outputs[0]
        last.name, last.dtype, last.shape = f"{name}.{operator.lower()}", out.dtype, out.shape
        made.append(step)
    out.replace_all_uses_with(last)
    made[0].replace_input_with(0, out)
    last.name = name
    graph.insert_after(node, made)
