"""Reading a graph of a bundle for derivation, and writing what was derived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes import common

from videoscene_rt.engines.errors import BackendError

# Weights of this size and more lie in the file beside the graph.
_INLINE_LIMIT = 1024


def load_source(path: Path) -> ir.Model:
    """Read an ONNX file; every constant becomes an initializer, every value has a type, every node a name of its own.

    Raises:
        BackendError: the graph holds subgraphs or functions, a node without a name, or values whose type cannot be inferred.
    """
    model = ir.load(path)
    if model.functions or any(attribute.type in _SUBGRAPHS for node in model.graph for attribute in _attributes(node)):
        raise BackendError(f"{path.name}: graphs with subgraphs or local functions have no precision recipe")
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    _fold_doubles(model.graph)
    if any(value.dtype is None for node in model.graph for value in node.outputs):
        model = common.ShapeInferencePass()(model).model
    names = [node.name for node in model.graph]
    if None in names or "" in names or len(set(names)) != len(names):
        raise BackendError(f"{path.name}: its nodes need names, each its own", "export the bundle again")
    untyped = next((value.name for node in model.graph for value in node.outputs if value.dtype is None), None)
    if untyped is not None:
        raise BackendError(f"{path.name}: the type of {untyped} is unknown", "export the bundle again")
    return model


def save_derived(model: ir.Model, out: Path) -> None:
    """Write a graph that depends on no other file: ``out``, and its larger weights in ``out`` + ".data" beside it."""
    model.producer_name = "videoscene-rt"
    common.RemoveUnusedNodesPass()(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    ir.save(model, out, external_data=f"{out.name}.data", size_threshold_bytes=_INLINE_LIMIT)


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor behind a constant: an initializer, or the Cast of one (a weight in the checkpoint's own narrow dtype)."""
    if value is None:
        return None
    if value.is_initializer():
        return value.const_value
    producer = value.producer()
    if producer is not None and producer.op_type == "Cast" and producer.inputs[0].is_initializer():
        return producer.inputs[0].const_value
    return None


def weight_tensor(value: ir.Value) -> ir.TensorProtocol:
    """`constant` of a value that is one.

    Raises:
        BackendError: it is none.
    """
    tensor = constant(value)
    if tensor is None:
        raise BackendError(f"{value.name} is no constant")
    return tensor


def float_array(tensor: ir.TensorProtocol) -> npt.NDArray[np.float32]:
    """A constant's values in float32, read now."""
    return np.asarray(tensor.numpy()).astype(np.float32)


def float_inputs(node: ir.Node) -> Iterator[tuple[int, ir.Value]]:
    """The inputs of a node that follow its precision: floating point, and not of a type the operator fixes."""
    for index, value in enumerate(node.inputs):
        if value is not None and value.dtype in FLOATS and (node.op_type, index) not in _FIXED_INPUTS:
            yield index, value


def add_constant(graph: ir.Graph, name: str, tensor: ir.TensorProtocol) -> ir.Value:
    """A new initializer; a lazy tensor is made when the graph is written, one after the other."""
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape), const_value=tensor)
    graph.initializers.add(value)
    return value


FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)
# The scales (and region) of a Resize are float32 whatever it resizes.
_FIXED_INPUTS = {("Resize", 1), ("Resize", 2)}
_SUBGRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def _attributes(node: ir.Node) -> Iterator[ir.Attr]:
    yield from node.attributes.values()


def _fold_doubles(graph: ir.Graph) -> None:
    """A float64 weight that is cast before use becomes float32: no builder computes in float64."""
    for node in list(graph):
        stored = node.inputs[0] if node.op_type == "Cast" else None
        if stored is None or not stored.is_initializer() or stored.dtype != ir.DataType.DOUBLE:
            continue
        result = node.outputs[0]
        if result.dtype != ir.DataType.FLOAT:
            continue
        folded = add_constant(graph, f"{result.name}.folded", _single(stored))
        result.replace_all_uses_with(folded)
        graph.remove(node, safe=True)


def _single(value: ir.Value) -> ir.LazyTensor:
    tensor = value.const_value
    return ir.LazyTensor(lambda: ir.tensor(float_array(tensor)), dtype=ir.DataType.FLOAT, shape=ir.Shape(tensor.shape))
