"""Operations and bytes of a graph, counted from its ONNX file; no weight is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from videoscene_rt.engines.errors import BackendError, InputError

_MOVES = frozenset(
    ("Cast", "Concat", "Constant", "ConstantOfShape",
     "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "Identity", "Pad",
     "Range", "Reshape", "Resize", "ScatterElements", "ScatterND", "Shape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile",
     "Transpose", "Unsqueeze", "Where")
)  # fmt: skip
"""Operators that move elements and compute nothing."""
_LEAST_WEIGHT = 64
"""Constants of fewer elements are parameters of operators, not weights."""

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class Counts:
    """What one run of a graph takes at least.

    Attributes:
        matrix_operations: multiplications and additions of matrix products and convolutions, two for each pair.
        other_operations: one for each element that another operator computes.
        weights: elements of weights, each read once.
        io_bytes: inputs read once and outputs written once, in their own dtypes.
        between_elements: elements of every tensor between two nodes, each written once and read once by whoever reads it: what a backend
            that fuses nothing moves as well.
    """

    matrix_operations: int
    other_operations: int
    weights: int
    io_bytes: int
    between_elements: int

    @property
    def operations(self) -> int:
        """All of them."""
        return self.matrix_operations + self.other_operations

    def least_bytes(self, bytes_per_weight: int) -> int:
        """Weights, inputs and outputs, each once."""
        return self.weights * bytes_per_weight + self.io_bytes


def count_operations(path: Path) -> Counts:
    """Count a graph.

    Raises:
        InputError: the file cannot be read, or a tensor in it has no fixed shape.
        BackendError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise BackendError("operations are counted by onnx, which is not installed", "pip install onnx") from error
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's exceptions have no public base
        raise InputError(f"{path} is no ONNX file: {error}") from error
    return _counted(model.graph, path)


def _counted(graph: Any, path: Path) -> Counts:
    weights = {one.name: tuple(one.dims) for one in graph.initializer}
    shapes: dict[str, Shape] = dict(weights)
    for value in (*graph.input, *graph.output, *graph.value_info):
        shapes[value.name] = _shape(value)
    inputs = [value for value in graph.input if value.name not in weights]
    outer = {value.name for value in (*inputs, *graph.output)}
    matrix = other = between = 0
    used: set[str] = set()
    for node in graph.node:
        try:
            count = _MATRIX[node.op_type](node, shapes) if node.op_type in _MATRIX else None
            outputs = [shapes[name] for name in node.output if name]
        except KeyError as error:
            raise InputError(f"{path}: {node.op_type} {node.name}: tensor {error} has no shape") from error
        matrix += count or 0
        if count is None and node.op_type not in _MOVES:
            other += sum(prod(shape) for shape in outputs)
        used.update(name for name in node.input if name in weights)
        inner = [name for name in (*node.input, *node.output) if name and name not in weights and name not in outer]
        between += sum(prod(shapes.get(name, ())) for name in inner)
    return Counts(
        matrix_operations=matrix,
        other_operations=other,
        weights=sum(prod(weights[name]) for name in used if prod(weights[name]) >= _LEAST_WEIGHT),
        io_bytes=sum(prod(_shape(value)) * _width(value) for value in (*inputs, *graph.output)),
        between_elements=between,
    )


def _shape(value: Any) -> Shape:
    return tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)


def _width(value: Any) -> int:
    from onnx import helper

    return int(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).itemsize)


def _matmul(node: Any, shapes: Shapes) -> int:
    return 2 * prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _gemm(node: Any, shapes: Shapes) -> int:
    transposed = any(one.name == "transA" and one.i for one in node.attribute)
    return 2 * prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]


def _conv(node: Any, shapes: Shapes) -> int:
    # weight [out, in / groups, kernel…]: each output element sums over in / groups · kernel products
    return 2 * prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])


def _conv_transpose(node: Any, shapes: Shapes) -> int:
    # weight [in, out / groups, kernel…]: each input element is spread over out / groups · kernel products
    return 2 * prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])


def _attention(node: Any, shapes: Shapes) -> int:
    # Q [b, heads, n, d], K [b, heads, m, d], V [b, heads, m, e]: scores, and their product with V
    query, key, value = (shapes[name] for name in node.input[:3])
    if len(query) != 4:
        raise KeyError(node.input[0])
    return 2 * prod(query[:3]) * key[2] * (query[3] + value[3])


_MATRIX: dict[str, Callable[[Any, Shapes], int]] = {
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "Gemm": _gemm,
    "Conv": _conv,
    "ConvInteger": _conv,
    "ConvTranspose": _conv_transpose,
    "Attention": _attention,
}
