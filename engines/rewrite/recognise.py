"""What single nodes of a traced tiny autoencoder do to frames [T,C,H,W]: the structure that `frames_as_depth` looks for."""

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


def frames_shape(value: ir.Value) -> tuple[int, int, int, int]:
    """T, C, H and W of a value; NotApplicable if it has others, or unknown ones."""
    found = None if value.shape is None else [size for size in value.shape if isinstance(size, int)]
    if found is None or len(found) != 4:
        raise NotApplicable(f"{value.name} is not of four known sizes")
    return found[0], found[1], found[2], found[3]


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


def drops_last(node: ir.Node) -> bool:
    """Whether a Slice leaves out the last frame and nothing else."""
    padded = frames_shape(given(node, 0))[0]
    steps = integers(node, 4) if len(node.inputs) > 4 else [1]
    ends = integers(node, 2)
    return (
        integers(node, 1) == [0]
        and integers(node, 3) == [0]
        and steps == [1]
        and len(ends) == 1
        and ends[0] in (-1, padded - 1)
    )


def merges(node: ir.Node) -> int:
    """How many frames a Reshape merges by channels; 0 if that is not what it does."""
    frames, channels, *area = frames_shape(given(node, 0))
    fewer, wider, *same = frames_shape(node.outputs[0])
    exact = area == same and wider % channels == 0 and fewer * (wider // channels) == frames
    return wider // channels if exact else 0


def splits(node: ir.Node) -> int:
    """Into how many frames a Reshape splits channels; 0 if that is not what it does."""
    frames, channels, *area = frames_shape(given(node, 0))
    more, narrower, *same = frames_shape(node.outputs[0])
    exact = area == same and channels % narrower == 0 and frames * (channels // narrower) == more
    return channels // narrower if exact else 0


def doubles(node: ir.Node) -> bool:
    """Whether a Resize repeats every pixel twice along height and width."""
    attributes = node.attributes
    if attributes.get_string("mode", "nearest") != "nearest":
        return False
    # 2y + a comes from row y: with whole factors, by flooring the position, however half pixels are counted.
    transform = attributes.get_string("coordinate_transformation_mode", "half_pixel")
    rounding = attributes.get_string("nearest_mode", "round_prefer_floor")
    repeats = (transform, rounding) == ("asymmetric", "floor") or (
        transform == "half_pixel" and rounding in ("round_prefer_floor", "round_prefer_ceil")
    )
    frames, channels, height, width = frames_shape(given(node, 0))
    return repeats and frames_shape(node.outputs[0]) == (frames, channels, 2 * height, 2 * width)


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
