"""A tiny autoencoder over frames [N·T,C,H,W] becomes one over videos [N,C,T,H,W]: the same sums, as 3-D convolutions.

Frame by frame, a memory block concatenates each frame with the one before it, a pool merges frames by channels, a growth
splits channels into frames, and pixels are repeated before a convolution: copies, none of which computes anything, between
layouts that a convolution does not like. With frames as the depth of a volume they are a convolution's kernel, stride and padding:

    concat(x, past), 3×3              → 2×3×3, a frame of zeros in front (where a clip is one frame: x's half of 3×3)
    merge s frames, 1×1, 3×3 stride 2 → s×3×3, strides (s, 2, 2)
    1×1, split s frames, ×2, 3×3      → transposed s×4×4, strides (s, 2, 2)

N is 1 for a video and 2 for the condition images, whose frames are padded clip by clip. Kernels are composed in float64 (`kernels.py`). A
graph with anything else between its first and its last convolution is left alone.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from videoscene_rt.engines.precision.source import add_constant, float_array, weight_tensor
from videoscene_rt.engines.rewrite import NotApplicable, kernels
from videoscene_rt.engines.rewrite.forms import (
    ByClip,
    Doubled,
    Form,
    Merged,
    Padded,
    Past,
    Pointwise,
    Split,
    Video,
    WithPast,
)
from videoscene_rt.engines.rewrite.recognise import (
    behind,
    by_clip,
    doubles,
    drops_last,
    given,
    merges,
    pads_front,
    plain_stride,
    splits,
)
from videoscene_rt.engines.rewrite.volumes import Borders, clips_of, volume_shape


def rewrite(model: ir.Model, kept: Collection[str] = ()) -> str:
    """See `videoscene_rt.engines.rewrite.apply`."""
    before = sum(1 for _ in model.graph)
    _Lift(model.graph, frozenset(kept)).run()
    return f"frames as depth: {before} nodes became {sum(1 for _ in model.graph)}"


class _Lift:
    """One graph's way from its first convolution to its last."""

    def __init__(self, graph: ir.Graph, kept: frozenset[str]) -> None:
        self._graph, self._kept = graph, kept
        self._clips = clips_of(graph)
        self._borders = Borders(graph, self._clips)
        self._forms: dict[ir.Value, Form] = {}
        self._old: list[ir.Node] = []
        self._new: list[ir.Node] = []
        self._entries = 0

    def run(self) -> None:
        nodes = list(self._graph)
        first = next((node for node in nodes if node.op_type == "Conv"), None)
        if first is None:
            raise NotApplicable("it has no convolution")
        for node in nodes:
            if node is first or any(value in self._forms for value in node.inputs if value is not None):
                form = self._form(node)
                if form is None:
                    continue
                self._forms[node.outputs[0]] = form
                self._old.append(node)
        self._leave(first)

    def _form(self, node: ir.Node) -> Form | None:
        """What a node's output is; None for the first node behind the last convolution, which reads frames as before."""
        source = self._forms.get(node.inputs[0]) if node.inputs[0] is not None else None
        if isinstance(source, Video) and not any(one.op_type == "Conv" for one in behind(node)):
            return None
        match node.op_type, source:
            case "Conv", _:
                return self._convolution(node, Video(self._enter(node)) if source is None else source)
            case ("Relu", Video(value)):
                return Video(self._emit(node, "Relu", [value]))
            case ("Add", Video(value)):
                other = self._forms.get(node.inputs[1]) if node.inputs[1] is not None else None
                if isinstance(other, Video):
                    return Video(self._emit(node, "Add", [value, other.value]))
            case ("Reshape", Video() as video) if by_clip(node, self._clips):
                return ByClip(video)
            case ("Pad", ByClip(Video() as video)) if pads_front(node, axis=1):
                return ByClip(Padded(video))
            case ("Slice", ByClip(Padded(video))) if drops_last(node, axis=1):
                return ByClip(Past(video))
            case ("Reshape", ByClip(Past() as looked_back)) if by_clip(node, self._clips, axes=(5, 4)):
                return looked_back
            case ("Pad", Video() as video) if self._clips == 1 and pads_front(node, axis=0):
                return Padded(video)
            case ("Slice", Padded(video)) if drops_last(node, axis=0):
                return Past(video)
            case ("Concat", Video(value)) if node.attributes.get_int("axis", 0) == 1 and len(node.inputs) == 2:
                past = self._forms.get(node.inputs[1]) if node.inputs[1] is not None else None
                if isinstance(past, Past) and past.of.value is value:
                    return WithPast(past.of)
            case ("Reshape", Video() as video) if (frames := merges(node, self._clips)) > 1:
                return Merged(video, frames)
            case ("Reshape", Pointwise() as pointwise) if (frames := splits(node)) > 1:
                return Split(pointwise, frames)
            case ("Resize", Video() | Pointwise() | Split()) if doubles(node):
                return Doubled(source)
        raise NotApplicable(f"{node.name} is none of the steps between convolutions")

    def _convolution(self, node: ir.Node, source: Form) -> Form:
        weight, bias = float_array(weight_tensor(given(node, 1))), node.inputs[2] if len(node.inputs) > 2 else None
        stride = plain_stride(node, weight.shape[2])
        size = weight.shape[2]
        if size == 1 and stride == 1 and bias is None and isinstance(source, Video | Merged) and self._goes_on(node):
            return Pointwise(source, weight[:, :, 0, 0])
        match source:
            case Video(value):
                return self._conv3d(node, value, kernels.still(weight), bias, (1, stride))
            case WithPast(Video(value)) if stride == 1 and volume_shape(node.outputs[0], self._clips)[2] == 1:
                return self._conv3d(node, value, kernels.still(kernels.without_past(weight)), bias, (1, 1))
            case WithPast(Video(value)) if stride == 1:
                return self._conv3d(node, value, kernels.with_past(weight), bias, (1, stride), front=1)
            case Merged(Video(value), frames):
                return self._conv3d(node, value, kernels.merged(weight, frames), bias, (frames, stride))
            case Pointwise(Video(value), first):
                weight = kernels.after_pointwise(weight, first)
                return self._conv3d(node, value, kernels.still(weight), bias, (1, stride))
            case Pointwise(Merged(Video(value), frames), first):
                weight = kernels.merged(kernels.after_pointwise(weight, first), frames)
                return self._conv3d(node, value, weight, bias, (frames, stride))
            case Doubled(of) if (size, stride) == (3, 1):
                return self._transposed(node, of, weight, bias)
        raise NotApplicable(f"{node.name} reads what no 3-D convolution can take up")

    def _conv3d(
        self,
        node: ir.Node,
        value: ir.Value,
        weight: kernels.Array,
        bias: ir.Value | None,
        strides: tuple[int, int],
        front: int = 0,
    ) -> Video:
        pad, (along, across) = weight.shape[3] // 2, strides
        attributes = {
            "kernel_shape": list(weight.shape[2:]),
            "strides": [along, across, across],
            "pads": [front, pad, pad, 0, pad, pad],
        }
        return Video(self._emit(node, "Conv", self._weighted(node, value, weight, bias), attributes))

    def _transposed(
        self, node: ir.Node, source: Video | Pointwise | Split, weight: kernels.Array, bias: ir.Value | None
    ) -> Video:
        match source:
            case Split(Pointwise(Video(value), first), frames):
                kernel = kernels.upsampled(weight, first, frames)
            case Pointwise(Video(value), first):
                frames, kernel = 1, kernels.upsampled(weight, first, 1)
            case Video(value):
                frames, kernel = 1, kernels.upsampled(weight, np.eye(weight.shape[1], dtype=np.float32), 1)
            case _:
                raise NotApplicable(f"{node.name} reads what no transposed convolution can take up")
        attributes = {
            "kernel_shape": list(kernel.shape[2:]),
            "strides": [frames, 2, 2],
            "pads": [0, 1, 1, 0, 1, 1],
        }
        inputs = self._weighted(node, value, kernel, bias)
        return Video(self._emit(node, "ConvTranspose", inputs, attributes))

    def _weighted(
        self, node: ir.Node, value: ir.Value, weight: kernels.Array, bias: ir.Value | None
    ) -> list[ir.Value | None]:
        made = add_constant(self._graph, f"{given(node, 1).name}.depth", ir.tensor(weight))
        return [value, made] if bias is None else [value, made, bias]

    def _emit(
        self,
        node: ir.Node,
        operator: str,
        inputs: list[ir.Value | None],
        attributes: dict[str, list[int]] | None = None,
    ) -> ir.Value:
        """A node over videos in the place of one over frames; its output takes the old one's name."""
        old = node.outputs[0]
        scope = (node.name or "").rpartition("/")[0]
        name = node.name if operator == node.op_type else f"{scope}/{operator}"
        made = ir.node(operator, inputs, attributes=attributes or {}, name=name)
        value, name = made.outputs[0], old.name
        old.name = f"{name}.frames"
        value.name, value.dtype, value.shape = name, old.dtype, ir.Shape(volume_shape(old, self._clips))
        self._new.append(made)
        return value

    def _enter(self, node: ir.Node) -> ir.Value:
        """The video that the first convolution reads."""
        value = node.inputs[0]
        if self._entries or value is None:
            raise NotApplicable(f"{node.name} brings in frames beside the video")
        self._entries += 1
        return self._moved(self._borders.into(value))

    def _moved(self, value: ir.Value) -> ir.Value:
        self._new += self._borders.nodes
        self._borders.nodes.clear()
        return value

    def _leave(self, first: ir.Node) -> None:
        """Put the new nodes in, give frames to what reads them, and take the old nodes out."""
        self._check_kept()
        for old, form in list(self._forms.items()):
            readers = [use for use in old.uses() if use.node not in self._old and use.node not in self._new]
            if not readers and not old.is_graph_output():
                continue
            if not isinstance(form, Video) or old.is_graph_output() or self._entries != 1:
                raise NotApplicable(f"{old.name} is read outside")
            self._entries += 1  # one way out
            back = self._moved(self._borders.out_of(form.value, old))
            for use in readers:
                use.node.replace_input_with(use.idx, back)
        self._graph.insert_before(first, self._new)
        for node in reversed(self._old):
            self._graph.remove(node, safe=True)

    def _check_kept(self) -> None:
        for old, form in self._forms.items():
            if not isinstance(form, Video) and old.name in self._kept:
                raise NotApplicable(f"{old.name} must be kept, and would be gone")

    def _goes_on(self, node: ir.Node) -> bool:
        """Whether a 1×1 convolution's one reader leads to another convolution, which can contain it."""
        value = node.outputs[0]
        uses = list(value.uses())
        return len(uses) == 1 and not value.is_graph_output() and uses[0].node.op_type in ("Conv", "Reshape", "Resize")
