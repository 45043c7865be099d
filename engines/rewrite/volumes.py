"""Frames [N·T,C,H,W] of N clips and volumes [N,C,T,H,W]: how many clips a graph has, and the nodes that lead from one to the other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from videoscene_rt.engines.precision.source import add_constant
from videoscene_rt.engines.rewrite import NotApplicable
from videoscene_rt.engines.rewrite.recognise import frames_shape, given, rank, sizes

_SCOPE = "graph/frames_as_depth"


def clips_of(nodes: Iterable[ir.Node]) -> int:
    """Of how many clips the frames are: for several, a memory block pads each clip by itself, [N,T,C,H,W] → [N,T+1,C,H,W].

    Raises:
        NotApplicable: not every block has the same number.
    """
    counts = {sizes(given(node, 0), 5)[0] for node in nodes if node.op_type == "Pad" and rank(given(node, 0)) == 5}
    if len(counts) > 1:
        raise NotApplicable(f"its frames are of {' and of '.join(map(str, sorted(counts)))} clips")
    return counts.pop() if counts else 1


def volume_shape(frames: ir.Value, clips: int) -> list[int]:
    """[N,C,T,H,W] of frames [N·T,C,H,W]; NotApplicable if they are not so many whole clips."""
    count, channels, height, width = frames_shape(frames)
    if count % clips:
        raise NotApplicable(f"{frames.name} is not of {clips} clips")
    return [clips, channels, count // clips, height, width]


class Borders:
    """Where frames become volumes, and become frames again.

    Args:
        graph: gets the constants.
        clips: N.
    """

    def __init__(self, graph: ir.Graph, clips: int) -> None:
        self._graph, self._clips = graph, clips
        self.nodes: list[ir.Node] = []
        """Made since it was last emptied, in order."""

    def into(self, frames: ir.Value) -> ir.Value:
        """Frames as volumes."""
        clips, channels, count, height, width = volume_shape(frames, self._clips)
        if clips == 1:
            turned = self._node("Transpose", [frames], [channels, count, height, width], "in", [1, 0, 2, 3])
            return self._node("Unsqueeze", [turned, self._axis()], [1, channels, count, height, width], "in")
        apart = self._reshaped(frames, [clips, count, channels, height, width], "in")
        return self._node("Transpose", [apart], [clips, channels, count, height, width], "in", [0, 2, 1, 3, 4])

    def out_of(self, volume: ir.Value, frames: ir.Value) -> ir.Value:
        """Volumes as the frames that were there before."""
        clips, channels, count, height, width = volume_shape(frames, self._clips)
        if clips == 1:
            squeezed = self._node("Squeeze", [volume, self._axis()], [channels, count, height, width], "out")
            return self._node("Transpose", [squeezed], [count, channels, height, width], "out", [1, 0, 2, 3])
        turned = self._node("Transpose", [volume], [clips, count, channels, height, width], "out", [0, 2, 1, 3, 4])
        return self._reshaped(turned, [clips * count, channels, height, width], "out")

    def _reshaped(self, value: ir.Value, shape: list[int], way: str) -> ir.Value:
        tensor = ir.tensor(np.array(shape, np.int64))
        return self._node(
            "Reshape", [value, add_constant(self._graph, f"frames_as_depth.{way}.shape", tensor)], shape, way
        )

    def _node(
        self,
        operator: str,
        inputs: list[ir.Value | None],
        shape: list[int],
        way: str,
        permutation: list[int] | None = None,
    ) -> ir.Value:
        attributes = {} if permutation is None else {"perm": permutation}
        made = ir.node(operator, inputs, attributes=attributes, name=f"{_SCOPE}.{way}/{operator}")
        value = made.outputs[0]
        value.name, value.dtype, value.shape = f"frames_as_depth.{way}.{operator}", ir.DataType.FLOAT, ir.Shape(shape)
        self.nodes.append(made)
        return value

    def _axis(self) -> ir.Value:
        name = "frames_as_depth.axis"
        found = self._graph.initializers.get(name)
        return add_constant(self._graph, name, ir.tensor(np.array([0], np.int64))) if found is None else found
