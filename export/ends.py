"""The student without its blocks, at its own size: what comes before them and after them is where the picture's size matters most.

Noising, patches, positions, the last norms and the way back to a picture are taken out of the very file that was written,
and run against torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.memory import give_back
from videoscene_rt.export.parity import relative_l2
from videoscene_rt.export.segments import run_in_segments
from videoscene_rt.export.student import Student

_BLOCKS = "transformer.transformer_blocks."
_HEAVY = {"MatMul", "Gemm", "Softmax", "LayerNormalization"}


class EndsError(Exception):
    """The graph's blocks cannot be left out; why, in words."""


def prove_ends(source: GraphSource, path: Path, seed: int = 3) -> float:
    """Run the ends of a student's file beside its module's.

    Args:
        source: the student; its module may lie on the meta device.
        path: its ONNX file.
        seed: for the inputs.

    Returns:
        The relative L2 error of z_0.

    Raises:
        EndsError: the file is not a student's as this project traces it.
    """
    assert isinstance(source.module, Student)
    inputs = source.example(np.random.default_rng(seed))
    give_back()
    with torch.no_grad(), _blockless(source.module), source.numbers.present(source.module):
        expected = source.module(*inputs).numpy()
    give_back()
    part = path.with_name(f"{path.stem}.ends.onnx")
    try:
        onnx.save(without_blocks(onnx.load(path, load_external_data=False)), part)
        named = {spec.name: value.numpy() for spec, value in zip(source.inputs, inputs, strict=True)}
        found = run_in_segments(part, {name: named[name] for name in _inputs(part)})
    finally:
        part.unlink(missing_ok=True)
    return relative_l2(found["z_0"], expected)


def without_blocks(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with the video's tokens led past its blocks; what nothing needs any more is left out.

    Raises:
        EndsError: the tokens' way in or out is not to be found.
    """
    graph = model.graph
    inside = {node.name for node in graph.node if node.name.startswith(_BLOCKS) and not node.name.endswith("/cast")}
    made_by = {name: node for node in graph.node for name in node.output}
    shapes = {value.name: _shape(value) for value in graph.value_info}
    entering = _crossing(graph, made_by, inside, from_inside=False)
    leaving = _crossing(graph, made_by, inside, from_inside=True)
    pairs = [
        (before, after)
        for after in leaving
        for before in entering
        if len(shapes[after]) == 3 and shapes[before] == shapes[after]
    ]
    if len(pairs) != 1:
        raise EndsError(f"{len(pairs)} tensors go through the blocks unchanged in shape, not one")
    ((before, after),) = pairs
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == after and node.name not in inside:
                node.input[place] = before
    kept = _needed(graph, made_by)
    heavy = [node.name for node in kept if node.name in inside and node.op_type in _HEAVY]
    if heavy:
        raise EndsError(f"{heavy[0]} is needed outside the blocks")
    names = {name for node in kept for name in node.input}
    ends = onnx.helper.make_graph(
        kept,
        graph.name,
        [value for value in graph.input if value.name in names],
        list(graph.output),
        [tensor for tensor in graph.initializer if tensor.name in names],
        value_info=list(graph.value_info),
    )
    return onnx.helper.make_model(ends, opset_imports=model.opset_import, ir_version=model.ir_version)


def _crossing(
    graph: onnx.GraphProto, made_by: dict[str, onnx.NodeProto], inside: set[str], from_inside: bool
) -> list[str]:
    """Values that one side of the blocks' border makes and the other reads, in order."""
    found = {
        name: None
        for node in graph.node
        for name in node.input
        if name in made_by and (made_by[name].name in inside) == from_inside and (node.name in inside) != from_inside
    }
    return list(found)


def _needed(graph: onnx.GraphProto, made_by: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on, in their order."""
    needed: set[str] = set()
    open_names = [value.name for value in graph.output]
    while open_names:
        node = made_by.get(open_names.pop())
        if node is not None and node.name not in needed:
            needed.add(node.name)
            open_names.extend(node.input)
    return [node for node in graph.node if node.name in needed]


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def _inputs(path: Path) -> list[str]:
    return [value.name for value in onnx.load(path, load_external_data=False).graph.input]


@contextmanager
def _blockless(student: Student) -> Iterator[None]:
    blocks = student.transformer.transformer_blocks
    student.transformer.transformer_blocks = nn.ModuleList()
    try:
        yield
    finally:
        student.transformer.transformer_blocks = blocks
