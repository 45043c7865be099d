"""Weights as a graph wants them: what a node only turns or reshapes is turned or reshaped before it is stored.

torch traces a linear layer as a product with Transpose(weight). The exporter's optimiser folds that where it sees small weights; here it
sees none, and this pass folds them all, whatever their size.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from videoscene_rt.export.numbers import View


def fold_views(model: ir.Model, views: Mapping[str, View]) -> dict[str, View]:
    """Replace each node that only turns, reshapes or leaves a weight by an initializer, until there are no more.

    Args:
        model: changed in place.
        views: which tensor each initializer without a value stands for, by its name.

    Returns:
        The same for the initializers that the model has now.
    """
    known = {name: view for name, view in views.items() if name in model.graph.initializers}
    changed = True
    while changed:
        changed = False
        for node in list(model.graph):
            view = _view(node, known)
            if view is None:
                continue
            _replace(model, node, _name(model, node, view, known), view, known)
            changed = True
    for name in list(known):
        value = model.graph.initializers[name]
        if not value.uses() and not value.is_graph_output():
            del model.graph.initializers[name], known[name]
    return known


def _view(node: ir.Node, known: Mapping[str, View]) -> View | None:
    """What a node makes of a weight; None if it takes none, or does more than to turn and reshape it."""
    source = node.inputs[0] if node.inputs else None
    if source is None or (source.name or "") not in known or node.outputs[0].is_graph_output():
        return None
    view, result = known[source.name or ""], node.outputs[0]
    if node.op_type == "Transpose":
        attribute = node.attributes.get("perm")
        axes = tuple(reversed(range(len(view.shape)))) if attribute is None else tuple(attribute.as_ints())
        return view.transposed(axes)
    if node.op_type in ("Unsqueeze", "Squeeze", "Reshape") and result.shape is not None and result.shape.is_static():
        return view.reshaped(tuple(int(size) for size in result.shape.numpy()))
    same = node.op_type == "Identity" or (
        node.op_type == "Cast" and node.attributes["to"].as_int() == (source.dtype or ir.DataType.UNDEFINED)
    )
    return view if same else None


def _name(model: ir.Model, node: ir.Node, view: View, known: Mapping[str, View]) -> str:
    """The name of an initializer that holds this view already, or a new one after the weight's."""
    source = (node.inputs[0].name if node.inputs[0] is not None else None) or ""
    if known[source] == view:
        return source
    base = source + (".T" if node.op_type == "Transpose" else f".{'x'.join(map(str, view.shape))}")
    assert base not in model.graph.initializers or known.get(base) == view, base
    return base


def _replace(model: ir.Model, node: ir.Node, name: str, view: View, known: dict[str, View]) -> None:
    result = node.outputs[0]
    if name not in model.graph.initializers:
        value = ir.Value(name=name, type=result.type, shape=ir.Shape(view.shape))
        model.graph.initializers.add(value)
        known[name] = view
    result.replace_all_uses_with(model.graph.initializers[name])
    model.graph.remove(node, safe=True)
