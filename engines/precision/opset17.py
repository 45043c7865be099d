"""Opset 18 → 17, for TensorRT 8.6: its parser knows 17, and reads some newer forms as if they were the old ones."""

from __future__ import annotations

import onnx_ir as ir

_TARGET = 17
# What 18 added or gave a new meaning and 17 cannot say.
_NEW = frozenset(
    (
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "CenterCropPad",
        "Col2Im",
        "GroupNormalization",
        "Mish",
        "OptionalGetElement",
    )
)
_REDUCTIONS = frozenset(
    (
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSumSquare",
    )
)


def lower(model: ir.Model) -> bool:
    """Rewrite a graph of opset 18 in opset 17, in place, with the same meaning.

    Returns:
        Whether it is of opset 17 or older now. A graph that needs what 18 added is left as it was.
    """
    if model.opset_imports.get("", 0) <= _TARGET:
        return True
    if model.opset_imports[""] > _TARGET + 1 or any(_needs_18(node) for node in model.graph):
        return False
    for node in list(model.graph):
        if node.op_type in _REDUCTIONS:
            _axes_to_attribute(node)
        elif node.op_type == "Split":
            node.attributes.pop("num_outputs", None)
        elif node.op_type == "Resize":
            for name in ("antialias", "axes", "keep_aspect_ratio_policy"):
                node.attributes.pop(name, None)
    model.opset_imports[""] = _TARGET
    for node in model.graph:
        node.version = None
    return True


def _needs_18(node: ir.Node) -> bool:
    attributes = node.attributes
    if node.op_type in _REDUCTIONS:
        axes = _axes(node)
        return axes is None or (not axes and bool(attributes.get_int("noop_with_empty_axes", 0)))
    if node.op_type == "Split" and len(node.inputs) < 2:
        return not _splits_evenly(node)
    if node.op_type == "Resize":
        return bool(attributes.get_int("antialias", 0)) or "axes" in attributes
    if node.op_type == "Pad":
        return len(node.inputs) > 3 and node.inputs[3] is not None
    if node.op_type in ("ScatterElements", "ScatterND"):
        return attributes.get_string("reduction", "none") in ("min", "max")
    return node.op_type in _NEW


def _splits_evenly(node: ir.Node) -> bool:
    shape = node.inputs[0].shape
    length = shape[node.attributes.get_int("axis", 0)] if shape is not None else None
    return isinstance(length, int) and length % len(node.outputs) == 0


def _axes_to_attribute(node: ir.Node) -> None:
    axes = _axes(node)
    node.attributes.pop("noop_with_empty_axes", None)
    node.resize_inputs(1)
    if axes:
        node.attributes["axes"] = ir.AttrInt64s("axes", axes)


def _axes(node: ir.Node) -> list[int] | None:
    """The axes a reduction's second input names, [] for all of them; None if they are not constant."""
    value = node.inputs[1] if len(node.inputs) > 1 else None
    if value is None:
        return []
    return None if value.const_value is None else [int(axis) for axis in value.const_value.numpy()]
