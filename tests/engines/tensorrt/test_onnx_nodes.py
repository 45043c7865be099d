"""The reader of ONNX nodes, held against the onnx package."""

from __future__ import annotations

import contextlib
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.tensorrt.onnx_nodes import Node, read_nodes


def reference(path: Path) -> tuple[Node, ...]:
    model = onnx.load(path, load_external_data=False)
    return tuple(
        Node(
            node.name,
            node.op_type,
            max((number for number, name in enumerate(node.input, 1) if name), default=0),
            {a.name: a.s.decode() for a in node.attribute if a.type == onnx.AttributeProto.STRING},
        )
        for node in model.graph.node
    )


def test_every_graph_of_a_bundle_reads_as_onnx_reads_it(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    for graph in bundle.manifest.graphs:
        path = bundle.graph_path(graph)
        assert read_nodes(path) == reference(path)


def test_weights_in_the_file_and_inputs_left_out(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Clip", ["x", "", "high"], ["y"], name="clip"),
        helper.make_node("Clip", ["y", "", ""], ["z"], name="nothing"),
        helper.make_node("Pad", ["z", "pads"], ["o"], name="pad", mode="reflect"),
    ]
    values = [
        helper.make_tensor("high", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("pads", TensorProto.INT64, [4], [1] * 4),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3])
    o = helper.make_tensor_value_info("o", TensorProto.FLOAT, [5, 5])
    path = tmp_path / "g.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], [o], values)), path)
    assert read_nodes(path) == reference(path)
    assert [node.inputs for node in read_nodes(path)] == [3, 1, 2]


@given(data=st.binary(max_size=200))
def test_what_is_no_onnx_file_is_refused_and_never_worse(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.onnx"
    path.write_bytes(data)
    with contextlib.suppress(ValueError):
        read_nodes(path)
