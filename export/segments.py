"""Running an ONNX file on ONNX Runtime a piece at a time, so that no more than some of its weights are in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend
from videoscene_rt.export.memory import give_back

WEIGHT_BUDGET = 192 << 20
"""Bytes of float32 weights in one piece, unless a single node takes more. ONNX Runtime may hold each of them twice."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Segment:
    """Neighbouring nodes of a graph.

    Attributes:
        nodes: in their order; what only prepares a weight (a Cast) is in each segment that uses it.
        weights: names of the initializers that they read.
        takes: values from before, graph inputs among them.
        gives: values that something after needs, graph outputs among them.
    """

    nodes: tuple[NodeProto, ...]
    weights: tuple[str, ...]
    takes: tuple[str, ...]
    gives: tuple[str, ...]


def run_in_segments(
    path: Path, inputs: Arrays, budget: int = WEIGHT_BUDGET, on_segment: Callable[[int, int], None] | None = None
) -> dict[str, np.ndarray]:
    """Run an ONNX file once on ONNX Runtime's CPU provider.

    Args:
        path: the file; pieces of it are written beside it, where its weights are found, and removed again.
        inputs: by name.
        budget: bytes of float32 weights in one piece.
        on_segment: told (segments run, segments in all).

    Returns:
        The outputs by name.

    Raises:
        BackendError: ONNX Runtime refuses a piece.
    """
    model = onnx.load(path, load_external_data=False)
    segments = cut(model, budget)
    wanted = [value.name for value in model.graph.output]
    last_use = {name: number for number, segment in enumerate(segments) for name in segment.takes}
    values: dict[str, np.ndarray] = dict(inputs)
    part = path.with_name(f"{path.stem}.part.onnx")
    try:
        for number, segment in enumerate(segments):
            onnx.save(extract(model, segment), part)
            values |= _run(part, segment, values)
            for name in [name for name in values if last_use.get(name, -1) <= number and name not in wanted]:
                del values[name]
            give_back()
            if on_segment is not None:
                on_segment(number + 1, len(segments))
    finally:
        part.unlink(missing_ok=True)
    return {name: values[name] for name in wanted}


def _run(path: Path, segment: Segment, values: Arrays) -> dict[str, np.ndarray]:
    session = OnnxRuntimeBackend().session(str(path), arena=False)
    found = session.run(list(segment.gives), {name: values[name] for name in segment.takes})
    return {name: np.array(value) for name, value in zip(segment.gives, found, strict=True)}  # not the session's memory


def cut(model: onnx.ModelProto, budget: int) -> list[Segment]:
    """Cut a graph, whose nodes are in order, into segments whose weights are within the budget."""
    graph = model.graph
    sizes = {tensor.name: _wide_bytes(tensor) for tensor in graph.initializer}
    prepared = _prepared(graph)
    groups: list[list[NodeProto]] = [[]]
    held: set[str] = set()
    for node in graph.node:
        if node.output[0] in prepared:
            continue
        needs = {weight for name in node.input for weight in _weights(name, prepared, sizes)}
        if groups[-1] and sum(sizes[name] for name in held | needs) > budget:
            groups.append([])
            held = set()
        groups[-1].append(node)
        held |= needs
    return list(_segments(graph, groups, prepared, sizes))


def extract(model: onnx.ModelProto, segment: Segment) -> onnx.ModelProto:
    """A segment as a model of its own; its weights stay where they are."""
    graph = model.graph
    known = {value.name: value for value in (*graph.input, *graph.output, *graph.value_info)}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    part = helper.make_graph(
        segment.nodes,
        graph.name,
        [_described(known, name) for name in segment.takes],
        [_described(known, name) for name in segment.gives],
        [weights[name] for name in segment.weights],
    )
    return helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)


def _prepared(graph: onnx.GraphProto) -> dict[str, NodeProto]:
    """Values that are made of initializers alone → the node that makes them."""
    constant = {tensor.name for tensor in graph.initializer}
    prepared: dict[str, NodeProto] = {}
    for node in graph.node:
        if node.input and all(name in constant for name in node.input if name):
            constant.update(node.output)
            prepared |= dict.fromkeys(node.output, node)
    return prepared


def _weights(name: str, prepared: Mapping[str, NodeProto], sizes: Mapping[str, int]) -> Iterator[str]:
    """The initializers that a value is made of."""
    if name in sizes:
        yield name
    elif name in prepared:
        for source in prepared[name].input:
            yield from _weights(source, prepared, sizes)


def _makers(name: str, prepared: Mapping[str, NodeProto]) -> Iterator[NodeProto]:
    """The nodes that prepare a value, in order."""
    if name in prepared:
        for source in prepared[name].input:
            yield from _makers(source, prepared)
        yield prepared[name]


def _segments(
    graph: onnx.GraphProto,
    groups: list[list[NodeProto]],
    prepared: Mapping[str, NodeProto],
    sizes: Mapping[str, int],
) -> Iterator[Segment]:
    outputs = {value.name for value in graph.output}
    later: list[set[str]] = [set() for _ in groups]  # what the groups after each need
    for number in range(len(groups) - 1, 0, -1):
        later[number - 1] = later[number] | {name for node in groups[number] for name in node.input}
    for number, group in enumerate(groups):
        made = {name for node in group for name in node.output if name}
        makers = {node.output[0]: node for part in group for name in part.input for node in _makers(name, prepared)}
        used = dict.fromkeys(name for node in group for name in node.input if name)
        weights = dict.fromkeys(weight for name in used for weight in _weights(name, prepared, sizes))
        takes = [name for name in used if name not in made and name not in prepared and name not in sizes]
        gives = [name for name in made if name in later[number] or name in outputs]
        order = {name: place for place, node in enumerate(group) for name in node.output}
        yield Segment(
            (*makers.values(), *group), tuple(weights), tuple(takes), tuple(sorted(gives, key=order.__getitem__))
        )


def _described(known: Mapping[str, ValueInfoProto], name: str) -> ValueInfoProto:
    if name not in known:
        raise ValueError(f"the graph does not say what {name} is")
    return known[name]


def _wide_bytes(tensor: TensorProto) -> int:
    return int(np.prod(tensor.dims, dtype=np.int64)) * max(
        4, np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
    )
