"""Casts, constants and types of the conversion itself, on graphs of a few nodes."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, numpy_helper
from onnx.parser import parse_model

from tests.support.onnx_runs import distance, run_onnx, run_rounding
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.precision.fp16 import to_typed
from videoscene_rt.engines.precision.overflow import wide_weights
from videoscene_rt.engines.precision.placement import place
from videoscene_rt.engines.precision.recipe import Recipe, Rule
from videoscene_rt.engines.precision.source import load_source, save_derived

HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
X = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)


def _recipe(*islands: str) -> Recipe:
    rules = tuple(Rule(nodes=name, precision="fp32", why="asked for") for name in islands)
    return Recipe(graphs=("g",), ceilings={"fp16": "fp16"}, why="", rules=rules)


def _graph(folder: Path, signature: str, body: str, weights: dict[str, np.ndarray] | None = None) -> Path:
    """An FP32 graph on disk, each node named after the value it makes."""
    model = parse_model(f'<ir_version: 9, opset_import: ["" : 18]> g {signature} {{ {body} }}')
    for node in model.graph.node:
        node.name = node.output[0]
    for name, array in (weights or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    model = onnx.shape_inference.infer_shapes(model)
    onnx.save(model, folder / "source.onnx")
    return folder / "source.onnx"


def _typed(source: Path, *islands: str) -> tuple[Path, dict[str, onnx.NodeProto], dict[str, int]]:
    model = load_source(source)
    to_typed(model, place(model, _recipe(*islands), {}))
    save_derived(model, source.with_name("typed.onnx"))
    proto = onnx.load(source.with_name("typed.onnx"))
    onnx.checker.check_model(proto, full_check=True)
    types = {value.name: value.type.tensor_type.elem_type for value in (*proto.graph.value_info, *proto.graph.output)}
    types |= {initializer.name: initializer.data_type for initializer in proto.graph.initializer}
    return source.with_name("typed.onnx"), {node.name: node for node in proto.graph.node}, types


def _close(source: Path, typed: Path, inputs: dict[str, np.ndarray], limit: float = 2e-3) -> None:
    reference = run_onnx(source, inputs)
    for run in (run_onnx, run_rounding):
        for name, found in run(typed, inputs).items():
            assert found.dtype == reference[name].dtype
            assert distance(found, reference[name]).relative_l2 < limit, name


def test_a_cast_goes_down_before_movement_and_up_after_it(tmp_path: Path) -> None:
    source = _graph(
        tmp_path,
        "(float[2,4] x) => (float[4,2] y)",
        "a = Exp(x) b = Transpose(a) c = Relu(b) d = Transpose(c) e = Exp(d) y = Transpose(e)",
    )
    path, nodes, types = _typed(source, "a", "e")
    assert [types[name] for name in ("a", "b", "c", "d", "e")] == [FLOAT, HALF, HALF, HALF, FLOAT]
    assert sum(node.op_type == "Cast" for node in nodes.values()) == 2
    _close(source, path, {"x": X})


def test_a_value_that_both_types_read_is_cast_once(tmp_path: Path) -> None:
    source = _graph(
        tmp_path,
        "(float[2,4] x) => (float[2,4] y)",
        "a = Relu(x) b = Exp(a) c = Exp(a) d = Tanh(a) e = Add(b, c) y = Add(d, e)",
    )
    path, nodes, _ = _typed(source, "b", "c", "e", "y")
    casts = [node.input[0] for node in nodes.values() if node.op_type == "Cast"]
    assert sorted(casts) == ["a", "d", "x"]
    _close(source, path, {"x": X})


def test_an_fp16_value_that_leaves_and_goes_on_is_cast_at_the_border_alone(tmp_path: Path) -> None:
    source = _graph(tmp_path, "(float[2,4] x) => (float[2,4] a, float[2,4] y)", "a = Relu(x) y = Tanh(a)")
    path, nodes, types = _typed(source)
    assert types["a"] == types["y"] == FLOAT
    assert types["a.fp16"] == HALF
    assert list(nodes["y"].input) == ["a.fp16"]
    _close(source, path, {"x": X})


def test_constants_follow_their_readers(tmp_path: Path) -> None:
    source = _graph(
        tmp_path,
        "(float[2,4] x) => (float[2,4] y)",
        "low = Constant<value = float {-0.5}>() a = Clip(x, low) b = Add(a, w) c = Mul(b, w) y = Neg(c)",
        {"w": np.linspace(-1, 1, 4, dtype=np.float32)},
    )
    path, nodes, types = _typed(source, "b")
    assert types[nodes["a"].input[1]] == HALF
    assert (types[nodes["b"].input[1]], types[nodes["c"].input[1]]) == (FLOAT, HALF)
    assert "Constant" not in {node.op_type for node in nodes.values()}
    _close(source, path, {"x": X})


def test_the_scales_of_a_resize_stay_float32(tmp_path: Path) -> None:
    source = _graph(
        tmp_path,
        "(float[2,4] x) => (float[2,8] y)",
        'a = Relu(x) b = Resize<mode = "nearest">(a, , s) y = Neg(b)',
        {"s": np.array([1, 2], np.float32)},
    )
    path, nodes, types = _typed(source)
    assert types["b"] == HALF
    assert types[nodes["b"].input[2]] == FLOAT
    _close(source, path, {"x": X})


@pytest.mark.parametrize("narrow", [np.float16, ml_dtypes.bfloat16])
def test_narrow_weights_of_a_checkpoint_become_fp16_and_their_casts_go(narrow: type, tmp_path: Path) -> None:
    source = _graph(
        tmp_path,
        "(float[2,4] x) => (float[2,3] y)",
        "w = Cast<to = 1>(stored) a = MatMul(x, w) v = Cast<to = 1>(bias) y = Add(a, v)",
        {
            "stored": np.random.default_rng(1).standard_normal((4, 3)).astype(narrow),
            "bias": np.linspace(0, 1, 3).astype(narrow),
        },
    )
    path, nodes, types = _typed(source, "y")
    assert types[nodes["a"].input[1]] == HALF
    assert "w" not in nodes
    assert "v" in nodes, "what stays FP32 stays stored as it was"
    _close(source, path, {"x": X})


def test_a_float64_weight_becomes_float32(tmp_path: Path) -> None:
    source = _graph(
        tmp_path,
        "(float[2,4] x) => (float[2,4] y)",
        "w = Cast<to = 1>(stored) y = Add(x, w)",
        {"stored": np.linspace(0, 1, 4)},
    )
    path, nodes, types = _typed(source, "y")
    assert set(nodes) == {"y"}
    assert types[nodes["y"].input[1]] == FLOAT
    np.testing.assert_array_equal(run_onnx(path, {"x": X})["y"], run_onnx(source, {"x": X})["y"])


@pytest.mark.parametrize(("number", "why"), [(1e-9, "0"), (7e4, "65504")])
def test_a_number_that_fp16_cannot_hold_is_found(number: float, why: str, tmp_path: Path) -> None:
    source = _graph(tmp_path, "(float[2,4] x) => (float[2,4] y)", "y = Mul(x, c)", {"c": np.array(number, np.float32)})
    model = load_source(source)
    found = wide_weights(model, place(model, _recipe(), {}))
    assert list(found) == ["c"]
    assert why in found["c"]
    assert place(model, _recipe(), found)["y"].precision == "fp32"
    assert not wide_weights(model, place(model, _recipe("y"), {}))


def test_graphs_that_no_recipe_can_speak_of_are_refused(tmp_path: Path) -> None:
    source = _graph(tmp_path, "(float[2,4] x) => (float[2,4] y)", "a = Relu(x) y = Neg(a)")
    model = ir.load(source)
    for node in model.graph:
        node.name = "same"
    ir.save(model, source)
    with pytest.raises(BackendError, match="names"):
        load_source(source)
