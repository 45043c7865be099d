"""ONNX into a network: what 8.6 would misread, what a parser's errors become, and how layers are typed where the graph cannot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest
from onnx import TensorProto, helper

from tests.engines.tensorrt.fakes import MODULE, Layer, Network, Tensor
from videoscene_rt import BackendError
from videoscene_rt.engines.tensorrt.capabilities import TENSORRT_8_6, TENSORRT_10, TENSORRT_RTX_1, Capabilities
from videoscene_rt.engines.tensorrt.network import parse, set_half, set_precisions

LOG = SimpleNamespace(count=0, errors=lambda since: [])


def write(path: Path, *nodes: onnx.NodeProto) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph(list(nodes), "g", values[:1], values[1:])), path)
    return path


class Parser:
    def __init__(self, *errors: SimpleNamespace) -> None:
        self._errors = errors
        self.num_errors = len(errors)

    def parse_from_file(self, path: str) -> bool:
        return not self._errors

    def get_error(self, index: int) -> SimpleNamespace:
        return self._errors[index]


def error(node: int, function: str, text: str, name: str = "", operator: str = "") -> SimpleNamespace:
    fields = {
        "node": node,
        "func": function,
        "desc": text,
        "code": "UNSUPPORTED_NODE",
        "node_name": name,
        "node_operator": operator,
    }
    return SimpleNamespace(**{key: (lambda value=value: value) for key, value in fields.items()})


def parse_with(can: Capabilities, path: Path, *errors: SimpleNamespace) -> int:
    flags = SimpleNamespace(EXPLICIT_BATCH=0, STRONGLY_TYPED=1)
    module = SimpleNamespace(
        NetworkDefinitionCreationFlag=flags, OnnxParser=lambda network, log: Parser(*errors), __version__="8.6.1"
    )
    return int(parse(module, can, SimpleNamespace(create_network=lambda flags: flags), LOG, path))


def test_each_family_asks_for_its_kind_of_network(tmp_path: Path) -> None:
    path = write(tmp_path / "g.onnx", helper.make_node("Relu", ["x"], ["y"], name="relu"))
    assert parse_with(TENSORRT_8_6, path) == 0b01
    assert parse_with(TENSORRT_10, path) == 0b10
    assert parse_with(TENSORRT_RTX_1, path) == 0b10


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (
            helper.make_node("ReduceMean", ["x", "axes"], ["y"], name="norm/mean"),
            r"input 2 of ReduceMean \(norm/mean\)",
        ),
        (helper.make_node("Pad", ["x", "pads", "", "axes"], ["y"], name="p"), r"input 4 of Pad \(p\)"),
        (
            helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], name="splat", reduction="min"),
            r"attribute reduction of ScatterElements \(splat\)",
        ),
    ],
)
def test_what_8_6_would_misread_is_refused_by_name(node: onnx.NodeProto, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "g.onnx", node)
    with pytest.raises(BackendError, match=f"would ignore {words} and give wrong results\n.*opset 17"):
        parse_with(TENSORRT_8_6, path)
    parse_with(TENSORRT_10, path)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("ReduceMean", ["x"], ["y"], name="n", axes=[1]),
        helper.make_node("ReduceSum", ["x", "axes"], ["y"], name="n"),
        helper.make_node("Pad", ["x", "pads", "zero"], ["y"], name="n", mode="constant"),
        helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], name="n", reduction="none"),
    ],
)
def test_what_8_6_reads_rightly_is_not_refused(node: onnx.NodeProto, tmp_path: Path) -> None:
    parse_with(TENSORRT_8_6, write(tmp_path / "g.onnx", node))


def test_errors_name_the_node_in_every_version(tmp_path: Path) -> None:
    path = write(
        tmp_path / "g.onnx",
        helper.make_node("Erf", ["x"], ["m"], name="a/Erf"),
        helper.make_node("Det", ["m"], ["y"], name="b/Det"),
    )
    with pytest.raises(
        BackendError, match=r"refuses g\.onnx: b/Det \[Det\]: no importer \(UNSUPPORTED_NODE, importFallback\)"
    ):
        parse_with(TENSORRT_8_6, path, error(1, "importFallback", "no importer"))
    with pytest.raises(BackendError, match=r"refuses g\.onnx: c \[Det\]: no importer"):
        parse_with(TENSORRT_10, path, error(1, "parseNode", "no importer", "c", "Det"))
    with pytest.raises(BackendError, match=r"refuses g\.onnx: b/Det \[Det\]: not so"):
        parse_with(TENSORRT_10, path, error(-1, "importDet", "not so"))
    with pytest.raises(BackendError, match=r"refuses g\.onnx: out of memory"):
        parse_with(TENSORRT_10, path, error(-1, "parse", "out of memory"))


def test_layers_are_typed_by_the_node_they_came_from() -> None:
    x, a, b, c, q, d, e, y = (Tensor(name) for name in "xabcqdey")
    count = Tensor("count", "INT32")
    layers = [
        Layer("to_q/MatMul", "LayerType.MATRIX_MULTIPLY", [x], [a], "[ONNX Layer: to_q/MatMul]"),
        Layer("to_q/MatMul_17", "LayerType.ELEMENTWISE", [a], [b], "[ONNX Layer: to_q/MatMul]"),
        Layer("norm/Add", "LayerType.ELEMENTWISE", [b], [c]),
        Layer("weight", "LayerType.CONSTANT", [], [Tensor("w")], "[ONNX Layer: norm/Add]"),
        Layer("q", "LayerType.QUANTIZE", [c], [q], "[ONNX Layer: q]"),
        Layer("dq", "LayerType.DEQUANTIZE", [q], [d], "[ONNX Layer: dq]"),
        Layer("to_k/MatMul", "LayerType.MATRIX_MULTIPLY", [d], [e], "[ONNX Layer: to_k/MatMul]"),
        Layer("shape", "LayerType.GATHER", [count], [Tensor("n", "INT32")], "[ONNX Layer: shape]"),
        Layer("out", "LayerType.ELEMENTWISE", [e], [y], "[ONNX Layer: out]"),
        Layer("other", "LayerType.ELEMENTWISE", [x], [Tensor("o")], "[ONNX Layer: other]"),
        Layer("attn/VideoSceneAttention", "LayerType.PLUGIN_V2", [a, b, c], [Tensor("p")]),
    ]
    wanted = {
        "to_q/MatMul": "fp16",
        "norm/Add": "fp32",
        "out": "fp16",
        "q": "fp16",
        "dq": "fp16",
        "to_k/MatMul": "fp16",
        "attn/VideoSceneAttention": "fp16",
    }
    wanted |= {"shape": "fp16", "folded/Mul": "fp32"}
    typed, missing = set_precisions(MODULE, Network(layers, [y]), wanted)
    assert {layer.name: (layer.precision, layer.output_types) for layer in layers if layer.precision} == {
        "to_q/MatMul": ("HALF", {0: "HALF"}),
        "to_q/MatMul_17": ("HALF", {0: "HALF"}),
        "norm/Add": ("FLOAT", {0: "FLOAT"}),
        "out": ("HALF", {}),  # a network output keeps its documented type
    }
    assert typed == 4
    assert missing == ["folded/Mul"]


def test_caches_of_a_weakly_typed_network_become_fp16_and_dense() -> None:
    latent, cache, frames, following = (Tensor(name) for name in ("latent", "cache_00", "frames", "next_cache_00"))
    network = Network([], [frames, following], [latent, cache])
    set_half(MODULE, network, ())
    assert {tensor.dtype for tensor in (latent, cache, frames, following)} == {"FLOAT"}
    set_half(MODULE, network, ("cache_00", "next_cache_00"))
    assert [tensor.dtype for tensor in (latent, cache, frames, following)] == ["FLOAT", "HALF", "FLOAT", "HALF"]
    assert [tensor.allowed_formats for tensor in (latent, cache)] == [0b11, 0b01]
    with pytest.raises(BackendError, match="no input or output cache_01"):
        set_half(MODULE, network, ("cache_00", "cache_01"))
