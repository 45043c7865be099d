"""Which precision every node of a graph computes in: the recipe's rules, what the overflow scan found, and neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from videoscene_rt.engines.precision.recipe import FloatPrecision, Recipe
from videoscene_rt.engines.precision.report import LayerGroup
from videoscene_rt.engines.precision.source import FLOATS, constant, float_inputs

# They move values and change none: they follow their neighbours, so that casts go where the least is moved.
MOVEMENT = frozenset(
    (
        *("Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Resize", "Slice"),
        *("SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
    )
)
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
# Types at their borders are theirs alone.
_OWN_TYPES = frozenset(("Cast", "ConstantOfShape", "Range"))
_MOVES = "moves values and computes nothing: as its neighbours, so that the casts stand where the least is moved"
_QUANTISES = "INT8 rounding in front of, and back to floating point inside, a quantised layer"
_REST = "no rule names it: FP16 is the default"


@dataclass(frozen=True)
class Choice:
    """A node's precision: "fp32", "fp16" or "int8" (its operands are quantised), which pattern gave it, and why."""

    precision: str
    pattern: str
    why: str


def place(model: ir.Model, recipe: Recipe, wide: Mapping[str, str], half: Collection[str] = ()) -> dict[str, Choice]:
    """The precision of each node that touches floating point, by name.

    Args:
        model: the FP32 graph, with or without Q/DQ.
        recipe: its rules.
        wide: values that FP16 cannot hold, by name, with the reason; whatever writes or reads one stays FP32.
        half: inputs and outputs of the graph that are FP16; the others are FP32.
    """
    choices: dict[str, Choice] = {}
    nodes = [node for node in model.graph if _touches_floats(node)]
    for node in nodes:
        reasons = [
            wide[value.name] for value in (*node.inputs, *node.outputs) if value is not None and value.name in wide
        ]
        if reasons:
            choices[node.name] = Choice("fp32", "overflow scan", reasons[0])
        elif not _follows(node):
            choices[node.name] = _ruled(node, recipe)
    _forward(nodes, choices, half)
    _backward(nodes, choices, {id(value): value.name in half for value in model.graph.outputs})
    return choices


def groups(choices: Mapping[str, Choice]) -> tuple[LayerGroup, ...]:
    """Choices counted by reason, in the order in which the graph meets them."""
    counted = Counter(choices.values())
    return tuple(LayerGroup(choice.pattern, choice.precision, count, choice.why) for choice, count in counted.items())


def computes(node: ir.Node) -> bool:
    """Whether a node does arithmetic, rather than move, cast or quantise values."""
    return not _follows(node) and node.op_type not in _OWN_TYPES


def moves(node: ir.Node) -> bool:
    """Whether a node moves values and changes none."""
    if node.op_type == "Resize":
        return str(node.attributes.get_string("mode", "nearest")) == "nearest"
    return node.op_type in MOVEMENT


def _touches_floats(node: ir.Node) -> bool:
    if constant(node.outputs[0]) is not None:
        return False
    return any(value is not None and value.dtype in FLOATS for value in (*node.inputs, *node.outputs))


def _follows(node: ir.Node) -> bool:
    return moves(node) or node.op_type in (_QUANTIZE, _DEQUANTIZE)


def _ruled(node: ir.Node, recipe: Recipe) -> Choice:
    if node.op_type in _OWN_TYPES:
        return Choice("fp32", "graph/*", "conversions at the border")
    for rule in recipe.rules:
        if rule.selects(node.name or "", node.op_type):
            return Choice(rule.precision, _shown(rule.nodes, rule.ops), rule.why)
    return Choice("fp16", "**", _REST)


def _shown(nodes: str, ops: tuple[str, ...]) -> str:
    return f"{nodes} [{' '.join(ops)}]" if ops else nodes


def _forward(nodes: list[ir.Node], choices: dict[str, Choice], half: Collection[str]) -> None:
    """What moves FP16 alone is FP16: the cast up comes after it. A quantiser takes whatever comes."""
    for node in nodes:
        if node.name in choices or node.op_type == _DEQUANTIZE:
            continue
        inputs = [value for _, value in float_inputs(node) if constant(value) is None]
        if inputs and all(_written_in(value, choices, half) == "fp16" for value in inputs):
            choices[node.name] = _follower(node, "fp16")
        elif node.op_type == _QUANTIZE:
            choices[node.name] = _follower(node, "fp32")


def _backward(nodes: list[ir.Node], choices: dict[str, Choice], outputs: Mapping[int, bool]) -> None:
    """What is read in FP16 alone, or leaves the graph in it, is FP16: the cast down comes before it."""
    for node in reversed(nodes):
        if node.name in choices:
            continue
        readers = [use.node for value in node.outputs for use in value.uses()]
        wanted = [choices[reader.name].precision == "fp16" for reader in readers]
        wanted += [outputs[id(value)] for value in node.outputs if id(value) in outputs]
        choices[node.name] = _follower(node, "fp16" if wanted and all(wanted) else "fp32")


def _written_in(value: ir.Value, choices: dict[str, Choice], half: Collection[str]) -> str:
    producer = value.producer()
    if producer is None and value.name in half:
        return "fp16"
    if producer is None or producer.op_type in _OWN_TYPES or producer.name not in choices:
        return "fp32"
    return choices[producer.name].precision


def _follower(node: ir.Node, precision: FloatPrecision) -> Choice:
    if node.op_type in MOVEMENT:
        return Choice(precision, "data movement", _MOVES)
    return Choice(precision, "quantisers", _QUANTISES)
