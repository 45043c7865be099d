"""Which frames of which value a convolution over frames reads, seen through the nodes that only move, repeat and double frames.

Three layouts: frames [T,C,H,W], clips [1,T,C,H,W], videos [1,C,T,H,W].
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx_ir as ir

from videoscene_rt.engines.rewrite.recognise import given, integers, rank, repeats_pixels, sizes

_SWAPPED = [0, 2, 1, 3, 4]


@dataclass(frozen=True)
class Moved:
    """Frames of a value.

    Attributes:
        source: where they come from: frames, or a video.
        video: whether it is a video.
        order: for each frame its number in the source.
        factor: by which height and width are multiplied, each pixel repeated: 1 or a power of 2.
        nodes: between the source and here.
    """

    source: ir.Value
    video: bool
    order: tuple[int, ...]
    factor: int = 1
    nodes: tuple[ir.Node, ...] = ()

    def through(self, node: ir.Node) -> Moved:
        """The same behind one more node."""
        return replace(self, nodes=(*self.nodes, node))

    def doubled(self, times: int) -> Moved:
        """The same with height and width doubled and each frame so many times."""
        order = tuple(number for number in self.order for _ in range(times))
        return replace(self, order=order, factor=2 * self.factor)


def moved_frames(value: ir.Value) -> Moved:
    """Of frames [T,C,H,W] where they come from; they themselves where nothing is known.

    Raises:
        NotApplicable: its sizes are not known.
    """
    node = value.producer()
    here = Moved(value, video=False, order=tuple(range(sizes(value, 4)[0])))
    if node is None:
        return here
    if node.op_type == "Reshape" and rank(given(node, 0)) == 5 and sizes(given(node, 0), 5) == [1, *sizes(value, 4)]:
        found = _clips(given(node, 0))
    elif node.op_type == "Resize" and _times(node, 4) == 1:
        found = moved_frames(given(node, 0)).doubled(1)
    elif node.op_type == "Gather" and node.attributes.get_int("axis", 0) == 2 and len(here.order) == 1:
        found = _picked(node)
    else:
        found = None
    return here if found is None else found.through(node)


def _clips(value: ir.Value) -> Moved | None:
    """Of [1,T,C,H,W]."""
    node = value.producer()
    if node is None:
        return None
    if node.op_type == "Transpose" and list(node.attributes.get_ints("perm", [])) == _SWAPPED:
        return _video(given(node, 0)).through(node)
    if node.op_type == "Reshape" and rank(given(node, 0)) == 4 and [1, *sizes(given(node, 0), 4)] == sizes(value, 5):
        return moved_frames(given(node, 0)).through(node)
    return None


def _video(value: ir.Value) -> Moved:
    """Of [1,C,T,H,W]."""
    node = value.producer()
    here = Moved(value, video=True, order=tuple(range(sizes(value, 5)[2])))
    found: Moved | None = None
    if node is None or sizes(value, 5)[0] != 1:
        return here
    if node.op_type == "Concat" and node.attributes.get_int("axis", 0) in (2, -3):
        found = _joined([_video(part) for part in node.inputs if part is not None])
    elif node.op_type == "Resize" and (times := _times(node, 5)):
        found = _video(given(node, 0)).doubled(times)
    elif node.op_type == "Unsqueeze" and integers(node, 1) == [2] and rank(given(node, 0)) == 4:
        found = moved_frames(given(node, 0))
    elif node.op_type == "Slice" and integers(node, 3) == [2] and (integers(node, 4) or [1]) == [1]:
        one = _video(given(node, 0))
        (begin,), (end,) = integers(node, 1) or [0], integers(node, 2) or [0]
        found = replace(one, order=one.order[begin:end])
        found = found if len(found.order) == len(here.order) else None
    return here if found is None else found.through(node)


def _picked(node: ir.Node) -> Moved | None:
    """One frame of a video, by its number."""
    number, source = integers(node, 1), given(node, 0)
    if len(number) != 1 or rank(source) != 5:
        return None
    one = _video(source)
    return replace(one, order=(one.order[number[0]],))


def _joined(parts: list[Moved]) -> Moved | None:
    """Frames one after the other, if all are of one source and one size."""
    first = parts[0]
    if any((one.source, one.video, one.factor) != (first.source, first.video, first.factor) for one in parts):
        return None
    nodes = dict.fromkeys(node for one in parts for node in one.nodes)
    return replace(first, order=tuple(number for one in parts for number in one.order), nodes=tuple(nodes))


def _times(node: ir.Node, axes: int) -> int:
    """How often a Resize repeats each frame, 1 or 2, where it doubles height and width; 0 for any other."""
    if not repeats_pixels(node) or rank(given(node, 0)) != axes:
        return 0
    before, after = sizes(given(node, 0), axes), sizes(node.outputs[0], axes)
    for times in (1, 2) if axes == 5 else (1,):
        frames = [times * before[2]] if axes == 5 else []
        if after == [*before[:2], *frames, 2 * before[-2], 2 * before[-1]]:
            return times
    return 0
