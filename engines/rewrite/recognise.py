"""What single nodes of a traced tiny autoencoder do to frames [N·T,C,H,W] of N clips: the structure that `frames_as_depth` looks for."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from videoscene_rt.engines.precision.source import constant
from videoscene_rt.engines.rewrite import NotApplicable


def given(node: ir.Node, index: int) -> ir.Value:
    """An input that must be there."""
    value = node.inputs[index]
    if value is None:
        raise NotApplicable(f"{node.name} lacks an input")
    return value


def rank(value: ir.Value) -> int:
    """How many axes a value has; 0 if that is not known."""
    return 0 if value.shape is None else len(value.shape)


def sizes(value: ir.Value, axes: int) -> list[int]:
    """The sizes of a value of so many axes; NotApplicable if it has others, or unknown ones."""
    found = [] if value.shape is None else [size for size in value.shape if isinstance(size, int)]
    if len(found) != axes or rank(value) != axes:
        raise NotApplicable(f"{value.name} is not of {axes} known sizes")
    return found


def frames_shape(value: ir.Value) -> tuple[int, int, int, int]:
    """T, C, H and W of a value; NotApplicable if it has others, or unknown ones."""
    frames, channels, height, width = sizes(value, 4)
    return frames, channels, height, width


def plain_stride(node: ir.Node, size: int) -> int:
    """The stride of a plain square convolution with as many zeros around as keep the size."""
    attributes, weight = node.attributes, given(node, 1)
    strides = attributes.get_ints("strides", [1, 1])
    plain = (
        attributes.get_int("group", 1) == 1
        and set(attributes.get_ints("dilations", [1, 1])) == {1}
        and attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
        and list(attributes.get_ints("pads", [0, 0, 0, 0])) == [size // 2] * 4
        and weight.shape is not None
        and list(weight.shape)[2:] == [size, size]
        and len(set(strides)) == 1
    )
    if not plain:
        raise NotApplicable(f"{node.name} is no plain square 2-D convolution")
    return int(strides[0])


def integers(node: ir.Node, index: int) -> list[int]:
    """The whole numbers of a constant input; none if it is not there or no constant."""
    tensor = constant(node.inputs[index]) if len(node.inputs) > index else None
    return [] if tensor is None else [int(number) for number in np.ravel(tensor.numpy())]


def pads_zeros(node: ir.Node) -> bool:
    """Whether a Pad fills with zeros."""
    if node.attributes.get_string("mode", "constant") != "constant":
        return False
    value = node.inputs[2] if len(node.inputs) > 2 else None
    tensor = constant(value)
    return value is None or (tensor is not None and not np.any(tensor.numpy()))


def pads_front(node: ir.Node, axis: int) -> bool:
    """Whether a Pad puts a frame of zeros in front and nothing else; frames lie along axis 0, or by their clips along axis 1."""
    before = [int(place == axis) for place in range(2 * (4 + axis))]
    return integers(node, 1) == before and pads_zeros(node)


def by_clip(node: ir.Node, clips: int, axes: tuple[int, int] = (4, 5)) -> bool:
    """Whether a Reshape parts frames [N·T,C,H,W] by their clips, [N,T,C,H,W]; the other way round for ``axes`` (5, 4)."""
    ends = (given(node, 0), node.outputs[0])
    if clips == 1 or tuple(map(rank, ends)) != axes:
        return False
    frames, clip = ends if axes == (4, 5) else reversed(ends)
    together, apart = sizes(frames, 4), sizes(clip, 5)
    return apart[0] == clips and [apart[0] * apart[1], *apart[2:]] == together


def drops_last(node: ir.Node, axis: int) -> bool:
    """Whether a Slice leaves out the last frame and nothing else; for ``axis`` see `pads_front`."""
    padded = sizes(given(node, 0), 4 + axis)[axis]
    steps = integers(node, 4) if len(node.inputs) > 4 else [1]
    ends = integers(node, 2)
    return (
        integers(node, 1) == [0]
        and integers(node, 3) == [axis]
        and steps == [1]
        and len(ends) == 1
        and ends[0] in (-1, padded - 1)
    )


def merges(node: ir.Node, clips: int) -> int:
    """How many frames of a clip a Reshape merges by channels; 0 if that is not what it does."""
    frames, channels, *area = frames_shape(given(node, 0))
    fewer, wider, *same = frames_shape(node.outputs[0])
    exact = area == same and wider % channels == 0 and fewer * (wider // channels) == frames and fewer % clips == 0
    return wider // channels if exact else 0


def splits(node: ir.Node) -> int:
    """Into how many frames a Reshape splits channels; 0 if that is not what it does."""
    frames, channels, *area = frames_shape(given(node, 0))
    more, narrower, *same = frames_shape(node.outputs[0])
    exact = area == same and channels % narrower == 0 and frames * (channels // narrower) == more
    return channels // narrower if exact else 0


def repeats_pixels(node: ir.Node) -> bool:
    """Whether a Resize, if it multiplies sizes by whole numbers, repeats what lies along them."""
    attributes = node.attributes
    if attributes.get_string("mode", "nearest") != "nearest":
        return False
    # 2y + a comes from row y: with whole factors, by flooring the position, however half pixels are counted.
    transform = attributes.get_string("coordinate_transformation_mode", "half_pixel")
    rounding = attributes.get_string("nearest_mode", "round_prefer_floor")
    return (transform, rounding) == ("asymmetric", "floor") or (
        transform == "half_pixel" and rounding in ("round_prefer_floor", "round_prefer_ceil")
    )


def doubles(node: ir.Node) -> bool:
    """Whether a Resize repeats every pixel twice along height and width."""
    frames, channels, height, width = frames_shape(given(node, 0))
    return repeats_pixels(node) and frames_shape(node.outputs[0]) == (frames, channels, 2 * height, 2 * width)


def behind(node: ir.Node) -> list[ir.Node]:
    """A node and everything that depends on it."""
    found: dict[ir.Node, None] = {}
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = None
            waiting.extend(use.node for value in one.outputs for use in value.uses())
    return list(found)
