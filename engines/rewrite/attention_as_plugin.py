"""A traced student's attention as one node, `VideoSceneAttention`: the op of the TensorRT plug-in (docs/kernels.md).

    q·c ─┐
         ├─ MatMul ─ Softmax ─┐                     q ─┐
    kᵀ·c ─┘                   ├─ MatMul ─▶   →      k ─┼─ VideoSceneAttention(scale = c·c) ─▶
                           v ─┘                     v ─┘

The scores, the only values that grow with the square of the tokens, are gone, for backends that would write them down. The node keeps the
scope and its output the name of the last product, so a recipe's rules for attention place it. The plug-in takes FP16 alone, so this is for
graphs that are derived in FP16 or INT8. A mask, another size than 64 channels or another scaling leaves the graph as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from videoscene_rt.engines.precision.source import constant, float_array
from videoscene_rt.engines.rewrite import NotApplicable
from videoscene_rt.engines.rewrite.recognise import given, sizes

DOMAIN, OPERATOR = "videoscene_rt", "VideoSceneAttention"
_CHANNELS = 64


@dataclass(frozen=True)
class Operator:
    """An op that takes queries, keys and values [B,H,N,64] and ``scale``, and these attributes beside it."""

    name: str
    domain: str
    version: int
    attributes: Mapping[str, int]


_PLUGIN = Operator(OPERATOR, DOMAIN, 1, {"together": 0})


@dataclass(frozen=True)
class _Attention:
    """Queries [B,H,Q,64], keys and values [B,H,K,64]; ``nodes`` are those that are gone afterwards, if nothing else reads them."""

    query: ir.Value
    key: ir.Value
    value: ir.Value
    scale: float
    nodes: tuple[ir.Node, ...]


def rewrite(model: ir.Model, kept: Collection[str] = ()) -> str:
    """See `videoscene_rt.engines.rewrite.apply`."""
    return f"attention as a plug-in, {replaced(model, kept, _PLUGIN)}"


def replaced(model: ir.Model, kept: Collection[str], operator: Operator) -> str:
    """Put one node in the place of each attention; how many, and what became of the nodes, in words. Raises as `apply` does."""
    graph = model.graph
    before = sum(1 for _ in graph)
    found = [_attention(node) for node in graph if node.op_type == "Softmax"]
    if not found:
        raise NotApplicable("it has no softmax")
    for one in found:
        _check_kept(one, kept)
    for one in found:
        _replace(graph, one, operator)
    model.opset_imports[operator.domain] = operator.version
    return f"{len(found)} times: {before} nodes became {sum(1 for _ in graph)}"


def _attention(softmax: ir.Node) -> _Attention:
    """The attention around a softmax."""
    weights, scores = softmax.outputs[0], given(softmax, 0).producer()
    readers = [use.node for use in weights.uses()]
    last = softmax.attributes.get_int("axis", -1) in (-1, 3)
    if scores is None or scores.op_type != "MatMul" or len(readers) != 1 or readers[0].op_type != "MatMul" or not last:
        raise NotApplicable(f"{softmax.name} does not stand between two products alone")
    out = readers[0]
    if given(out, 0) is not weights or len(list(scores.outputs[0].uses())) != 1:
        raise NotApplicable(f"{softmax.name}: its weights are no first factor, or its scores are read twice")
    query, of_query, first = _scaled(given(scores, 0))
    turned, of_key, second = _scaled(given(scores, 1))
    key, turning = _transposed(turned)
    one = _Attention(query, key, given(out, 1), first * second, (out, softmax, scores, *of_query, *of_key, *turning))
    _check_sizes(softmax, one)
    return one


def _scaled(value: ir.Value) -> tuple[ir.Value, tuple[ir.Node, ...], float]:
    """What a value is without a multiplication by one number, that multiplication, and the number."""
    node = value.producer()
    if node is None or node.op_type != "Mul":
        return value, (), 1.0
    for index in (0, 1):
        tensor = constant(node.inputs[index])
        if tensor is not None and tensor.size == 1:
            return given(node, 1 - index), (node,), float(np.ravel(float_array(tensor))[0])
    return value, (), 1.0


def _transposed(value: ir.Value) -> tuple[ir.Value, tuple[ir.Node, ...]]:
    """Of kᵀ [B,H,64,K] the keys [B,H,K,64], through reshapes that leave the last two axes as they are, and the nodes between."""
    nodes: list[ir.Node] = []
    turns = 0
    while value.shape is not None and (node := value.producer()) is not None:
        source = given(node, 0)
        axes = 0 if source.shape is None else len(source.shape)
        if node.op_type == "Transpose" and turns == 0:
            order = [*range(axes - 2), axes - 1, axes - 2]
            if list(node.attributes.get_ints("perm", [])) != order:
                break
            turns = 1
        elif node.op_type != "Reshape" or axes < 2 or list(source.shape or ())[-2:] != list(value.shape)[-2:]:
            break
        nodes.append(node)
        value = source
        if turns and axes == 4:
            return value, tuple(nodes)
    raise NotApplicable(f"{value.name} is not known as transposed keys")


def _check_sizes(softmax: ir.Node, one: _Attention) -> None:
    query, key, value = sizes(one.query, 4), sizes(one.key, 4), sizes(one.value, 4)
    alike = query[:2] == key[:2] and key == value and query[3] == key[3] == _CHANNELS
    alike = alike and sizes(one.nodes[0].outputs[0], 4) == query
    typed = all(each.dtype == ir.DataType.FLOAT for each in (one.query, one.key, one.value))
    if not alike or not typed or not one.scale > 0:
        raise NotApplicable(f"{softmax.name} is not of float32 heads of {_CHANNELS} channels with a positive scale")


def _check_kept(one: _Attention, kept: Collection[str]) -> None:
    """Nothing that must stay vanishes, and nothing that FP16 cannot hold is read or written by the node."""
    for value in (one.query, one.key, one.value, one.nodes[0].outputs[0]):
        if value.name in kept:
            raise NotApplicable(f"{value.name} does not fit into FP16, and the one node takes nothing else")
    for node in one.nodes[1:]:
        if node.outputs[0].is_graph_output() or node.outputs[0].name in kept:
            raise NotApplicable(f"{node.outputs[0].name} must be kept, and would be gone")


def _replace(graph: ir.Graph, one: _Attention, operator: Operator) -> None:
    """Put the node in the place of the last product, and take out what nothing reads any more."""
    last = one.nodes[0]
    old, scope = last.outputs[0], (last.name or "").rpartition("/")[0]
    node = ir.node(
        operator.name,
        [one.query, one.key, one.value],
        {**operator.attributes, "scale": one.scale},
        domain=operator.domain,
        name=f"{scope}/{operator.name}",
    )
    made, name = node.outputs[0], old.name
    old.name = f"{name}.product"
    made.name, made.dtype, made.shape = name, old.dtype, old.shape
    graph.insert_before(last, node)
    ir.convenience.replace_all_uses_with(old, made, replace_graph_outputs=True)
    for gone in one.nodes:
        if not any(value.uses() for value in gone.outputs):
            graph.remove(gone, safe=True)
