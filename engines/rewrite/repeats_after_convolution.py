"""A frame that is there twice is convolved once: upsampling in time goes behind the 2-D convolution that reads its frames one by one.

    video ─ nearest, frames and pixels ×2 ─ by frames ─ Conv ─▶
    video ─ by frames ─ nearest, pixels ×2 ─ Conv ─ the frames again, by number ─▶

The published decoder's first two upsamplers are so; in a first chunk the first frame stands alone, and is not repeated. The same bits: each
frame's values come from the same sums.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from videoscene_rt.engines.precision.source import add_constant
from videoscene_rt.engines.rewrite import NotApplicable
from videoscene_rt.engines.rewrite.moved_frames import Moved, moved_frames
from videoscene_rt.engines.rewrite.recognise import given, rank, sizes

_FACTORS = (1, 2)


def rewrite(model: ir.Model, kept: Collection[str] = ()) -> str:
    """See `videoscene_rt.engines.rewrite.apply`."""
    found: list[tuple[ir.Node, Moved]] = []
    for node in model.graph:
        if node.op_type == "Conv" and rank(given(node, 0)) == 4:
            moved = moved_frames(given(node, 0))
            if len(set(moved.order)) < len(moved.order) and moved.factor in _FACTORS:
                found.append((node, moved))
    if not found:
        raise NotApplicable("no convolution reads a frame twice")
    for _, moved in found:
        for node in moved.nodes:
            if node.outputs[0].name in kept:
                raise NotApplicable(f"{node.outputs[0].name} must be kept, and would be gone")
    frames = [(len(moved.order), len(set(moved.order))) for _, moved in found]
    for node, moved in found:
        _Once(model.graph, node, moved).put()
    said = ", ".join(f"{once} for {all_of_them}" for all_of_them, once in frames)
    return f"repeats after convolution: frames {said}"


class _Once:
    """The nodes that take the place of one convolution's."""

    def __init__(self, graph: ir.Graph, convolution: ir.Node, moved: Moved) -> None:
        self._graph, self._convolution, self._moved = graph, convolution, moved
        self._scope = (convolution.name or "").rpartition("/")[0] + ".once"
        self._names: set[str] = set()

    def put(self) -> None:
        """Convolve each frame once, then repeat what came of it; take out what nothing reads any more."""
        moved, old = self._moved, self._convolution.outputs[0]
        used = sorted(set(moved.order))
        value = self._frames(moved.source)
        if used != list(range(sizes(value, 4)[0])):
            value = self._taken(value, used)
        if moved.factor == 2:
            count, channels, height, width = sizes(value, 4)
            scales = self._constant("scales", np.array([1, 1, 2, 2], np.float32))
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            value = self._made("Resize", [value, None, scales], [count, channels, 2 * height, 2 * width], how)
        self._convolution.replace_input_with(0, value)
        again = ir.node("Gather", [old], name=f"{self._scope}/Gather_again", attributes={"axis": 0})
        self._repeat(old, again, [used.index(number) for number in moved.order])
        for node in reversed(moved.nodes):
            if not any(one.uses() or one.is_graph_output() for one in node.outputs):
                self._graph.remove(node, safe=True)

    def _repeat(self, old: ir.Value, again: ir.Node, order: list[int]) -> None:
        """What came of the frames, in their order and under its name."""
        name, shape = old.name, sizes(old, 4)
        repeated = again.outputs[0]
        ir.convenience.replace_all_uses_with(old, repeated, replace_graph_outputs=True)
        again.resize_inputs(2)
        again.replace_input_with(0, old)
        again.replace_input_with(1, self._constant("again", np.array(order, np.int64)))
        old.name, old.shape = f"{name}.once", ir.Shape([max(order) + 1, *shape[1:]])
        repeated.name, repeated.dtype, repeated.shape = name, old.dtype, ir.Shape(shape)
        self._graph.insert_after(self._convolution, again)

    def _frames(self, source: ir.Value) -> ir.Value:
        """The source as frames [T,C,H,W]."""
        if not self._moved.video:
            return source
        _, channels, count, height, width = sizes(source, 5)
        turned = self._made("Transpose", [source], [1, count, channels, height, width], {"perm": [0, 2, 1, 3, 4]})
        shape = self._constant("shape", np.array([count, channels, height, width], np.int64))
        return self._made("Reshape", [turned, shape], [count, channels, height, width])

    def _taken(self, frames: ir.Value, numbers: list[int]) -> ir.Value:
        taken = self._constant("taken", np.array(numbers, np.int64))
        return self._made("Gather", [frames, taken], [len(numbers), *sizes(frames, 4)[1:]], {"axis": 0})

    def _made(
        self,
        operator: str,
        inputs: list[ir.Value | None],
        shape: list[int],
        attributes: Mapping[str, str | int | list[int]] | None = None,
    ) -> ir.Value:
        node = ir.node(operator, inputs, attributes=attributes or {}, name=f"{self._scope}/{operator}")
        value = node.outputs[0]
        value.name, value.dtype, value.shape = f"{self._scope}.{operator}", ir.DataType.FLOAT, ir.Shape(shape)
        self._graph.insert_before(self._convolution, node)
        return value

    def _constant(self, what: str, array: np.ndarray) -> ir.Value:
        return add_constant(self._graph, f"{self._scope}.{what}", ir.tensor(array))
