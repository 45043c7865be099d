"""Pixels doubled by repeating, then a 3×3 convolution, as one transposed convolution of stride 2: 4 products a pixel and channel, not 9.

A row of the large picture reads three rows of it, which are two of the small one: two of the three weights meet the same pixel and are
added up beforehand (`kernels.doubled`), along height and along width. The zeros around the large picture are zeros around the small one,
and the large picture between the two is gone. Equal to rounding: the sums of weights are rounded once.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from videoscene_rt.engines.precision.source import add_constant, constant, float_array
from videoscene_rt.engines.rewrite import NotApplicable, kernels
from videoscene_rt.engines.rewrite.recognise import doubles, given, plain_stride, rank, sizes

_SIZE = 3


def rewrite(model: ir.Model, kept: Collection[str] = ()) -> str:
    """See `videoscene_rt.engines.rewrite.apply`."""
    found = [way for node in model.graph if node.op_type == "Conv" and (way := _way(node)) is not None]
    if not found:
        raise NotApplicable("no 3×3 convolution reads doubled pixels")
    for _, between in found:
        for node in between:
            if node.outputs[0].name in kept:
                raise NotApplicable(f"{node.outputs[0].name} must be kept, and would be gone")
    for convolution, between in found:
        _replace(model.graph, convolution, between)
    return f"doubling and 3×3 convolution as one: {len(found)} times"


def _way(convolution: ir.Node) -> tuple[ir.Node, tuple[ir.Node, ...]] | None:
    """A convolution, and the nodes from what is doubled to it, if it reads nothing else than doubled pixels."""
    value, between = given(convolution, 0), []
    if rank(value) != 4 or constant(convolution.inputs[1]) is None:
        return None
    shape = sizes(value, 4)
    while (node := value.producer()) is not None and node.op_type == "Reshape":
        between.append(node)  # there and back, if it comes to frames of these sizes again
        value = given(node, 0)
    if node is None or node.op_type != "Resize" or rank(value) != 4 or sizes(value, 4) != shape:
        return None
    try:
        fits = doubles(node) and plain_stride(convolution, _SIZE) == 1
    except NotApplicable:
        return None
    between.append(node)
    alone = all(len(list(one.outputs[0].uses())) == 1 and not one.outputs[0].is_graph_output() for one in between)
    return (convolution, tuple(between)) if fits and alone else None


def _replace(graph: ir.Graph, convolution: ir.Node, between: tuple[ir.Node, ...]) -> None:
    """Put the transposed convolution in the place of all; its output has the convolution's name."""
    given_weight, old = given(convolution, 1), convolution.outputs[0]
    stored = constant(given_weight)
    assert stored is not None
    weight = ir.LazyTensor(
        lambda: ir.tensor(kernels.doubled(float_array(stored))),
        dtype=ir.DataType.FLOAT,
        shape=ir.Shape([stored.shape[1], stored.shape[0], 4, 4]),
    )
    source = given(between[-1], 0)
    rest = [value for value in convolution.inputs[2:] if value is not None]
    inputs = [source, add_constant(graph, f"{given_weight.name}.doubled", weight), *rest]
    attributes = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    scope = (convolution.name or "").rpartition("/")[0]
    node = ir.node("ConvTranspose", inputs, attributes=attributes, name=f"{scope}/ConvTranspose")
    made, name = node.outputs[0], old.name
    graph.insert_before(convolution, node)
    ir.convenience.replace_all_uses_with(old, made, replace_graph_outputs=True)
    old.name = f"{name}.convolved"
    made.name, made.dtype, made.shape = name, old.dtype, old.shape
    for gone in (convolution, *between):
        graph.remove(gone, safe=True)
