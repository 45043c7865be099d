"""INT8: symmetric Q/DQ around the linear layers that the recipe names and no others, with calibrated scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper

from tests.support.onnx_runs import distance, run_onnx, worst
from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.precision import Derived, derive, derive_weak, recipe_for
from videoscene_rt.engines.precision.calibrate import activation_ranges
from videoscene_rt.engines.precision.int8 import insert_qdq, quantised_inputs, select_layers
from videoscene_rt.engines.precision.observe import whole_values
from videoscene_rt.engines.precision.source import load_source, save_derived

LINEAR = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")
LAYERS = {f"transformer.transformer_blocks.{block}.{layer}/MatMul" for block in (0, 1) for layer in LINEAR}
# Measured over three rooms: 6.5e-3.
LIMIT = 1e-2


@pytest.fixture(scope="module")
def typed(bundle: Bundle, activations: Activations, tmp_path_factory: pytest.TempPathFactory) -> Derived:
    return derive(bundle, "student", "int8", activations, tmp_path_factory.mktemp("typed") / "student.onnx")


@pytest.fixture(scope="module")
def weak(bundle: Bundle, activations: Activations, tmp_path_factory: pytest.TempPathFactory) -> Derived:
    return derive_weak(bundle, "student", "int8", activations, tmp_path_factory.mktemp("weak") / "student.onnx")


@pytest.fixture(params=["typed", "weak"])
def derived(request: pytest.FixtureRequest) -> Derived:
    return request.getfixturevalue(request.param)


def _producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def test_exactly_the_named_layers_have_quantised_operands(derived: Derived) -> None:
    model = onnx.load(derived.path)
    producers = _producers(model)
    both, some = set(), set()
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Gemm", "Conv"):
            quantised = [producers[name].op_type == "DequantizeLinear" for name in node.input[:2] if name in producers]
            both |= {node.name} if quantised == [True, True] else set()
            some |= {node.name} if any(quantised) else set()
    assert both == LAYERS
    assert some == LAYERS
    readers = {
        node.name
        for node in model.graph.node
        for name in node.input
        if name in producers and producers[name].op_type == "DequantizeLinear"
    }
    assert readers == LAYERS


def test_int8_is_symmetric_on_both_sides(derived: Derived) -> None:
    model = onnx.load(derived.path)
    constants = {initializer.name: numpy_helper.to_array(initializer) for initializer in model.graph.initializer}
    scales = {node.name: node.input[1] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    assert len(scales) == 12 + 8  # weights; activations, of which queries, keys and values share one
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero, scale = constants[node.input[2]], constants[node.input[1]]
            assert zero.dtype == np.int8
            assert not zero.any()
            assert (scale > 0).all()
            assert np.isfinite(scale).all()


def test_weights_have_a_scale_for_each_output_channel(typed: Derived) -> None:
    model = onnx.load(typed.path)
    constants = {initializer.name: numpy_helper.to_array(initializer) for initializer in model.graph.initializer}
    weights = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants]
    assert len(weights) == 12
    for node in weights:
        values = constants[node.input[0]]
        axis = next(attribute.i for attribute in node.attribute if attribute.name == "axis")
        assert values.dtype == np.int8
        assert axis == 1
        assert constants[node.input[1]].shape == (values.shape[1],)
        # 127 times a scale is the channel's largest weight: each channel uses the whole range.
        np.testing.assert_array_equal(np.abs(values.astype(np.int32)).max(axis=0), 127)


def test_the_folded_weights_are_those_that_the_nodes_would_make(typed: Derived, weak: Derived) -> None:
    folded = {
        initializer.name: numpy_helper.to_array(initializer) for initializer in onnx.load(typed.path).graph.initializer
    }
    base = {
        initializer.name: numpy_helper.to_array(initializer) for initializer in onnx.load(weak.path).graph.initializer
    }
    names = [name.removesuffix(".int8") for name in folded if name.endswith(".int8")]
    assert len(names) == 12
    for name in names:
        expected = np.clip(np.rint(base[name] / base[f"{name}.scale"]), -127, 127)
        np.testing.assert_array_equal(folded[f"{name}.int8"], expected)


def test_the_base_for_weak_typing_is_fp32_throughout(weak: Derived) -> None:
    model = onnx.load(weak.path)
    types = {initializer.data_type for initializer in model.graph.initializer}
    types |= {value.type.tensor_type.elem_type for value in model.graph.value_info}
    assert onnx.TensorProto.FLOAT16 not in types
    assert model.opset_import[0].version == 17


@pytest.mark.parametrize("kind", ["typed", "weak"])
def test_the_error_is_small_and_cosine_near_one(
    kind: str, activations: Activations, request: pytest.FixtureRequest
) -> None:
    derived: Derived = request.getfixturevalue(kind)
    onnx.checker.check_model(str(derived.path), full_check=True)
    found = worst(derived.path, activations.graph("student"))["z_0"]
    assert 1e-4 < found.relative_l2 < LIMIT
    assert found.cosine > 0.9999


def test_calibrated_scales_beat_random_ones(
    bundle: Bundle, weak: Derived, activations: Activations, tmp_path: Path
) -> None:
    recipe = recipe_for("student").int8
    assert recipe is not None
    model = load_source(bundle.graph_path("student"))
    layers = select_layers(model, recipe)
    names = quantised_inputs(model, layers)
    ranges = activation_ranges(bundle.graph_path("student"), names, activations.graph("student"), recipe.percentile)
    draw = np.random.default_rng(0)
    insert_qdq(model, layers, {name: ranges[name] * 2 ** draw.uniform(-3, 3) for name in names}, fold_weights=False)
    save_derived(model, tmp_path / "random.onnx")

    calibrated = worst(weak.path, activations.graph("student"))["z_0"].relative_l2
    random = worst(tmp_path / "random.onnx", activations.graph("student"))["z_0"].relative_l2
    assert random > 3 * calibrated


def test_ranges_are_percentiles_of_what_the_layers_really_read(bundle: Bundle, activations: Activations) -> None:
    path, samples = bundle.graph_path("student"), activations.graph("student")
    recipe = recipe_for("student").int8
    assert recipe is not None
    model = load_source(path)
    name = quantised_inputs(model, select_layers(model, recipe))[0]
    magnitudes = np.abs(_inner(path, name, activations))
    bin_width = float(magnitudes.max()) / 2048

    found = activation_ranges(path, [name], samples, 99.0)[name]
    assert np.mean(magnitudes < found - bin_width) <= 0.99 <= np.mean(magnitudes <= found + bin_width)
    assert activation_ranges(path, [name], samples, 100.0)[name] == pytest.approx(
        float(magnitudes.max()), abs=2 * bin_width
    )


def test_calibrating_value_by_value_gives_the_same_ranges(bundle: Bundle, activations: Activations) -> None:
    path, samples = bundle.graph_path("student"), activations.graph("student")
    recipe = recipe_for("student").int8
    assert recipe is not None
    model = load_source(path)
    names = quantised_inputs(model, select_layers(model, recipe))
    together = dict(whole_values(path, names, samples))
    one_by_one = dict(whole_values(path, names, samples, budget=1))
    assert list(together) == list(one_by_one) == names
    for name in names:
        np.testing.assert_array_equal(together[name], one_by_one[name])


def _inner(path: Path, name: str, activations: Activations) -> np.ndarray:
    loaded = onnx.load(path)
    loaded.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(loaded.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.stack([session.run([name], sample.inputs)[0] for sample in activations.graph("student").samples])


def test_of_42_blocks_three_at_each_end_and_the_embedders_keep_their_precision() -> None:
    recipe = recipe_for("student").int8
    assert recipe is not None
    linear = [f"transformer.transformer_blocks.{block}.{layer}" for block in range(42) for layer in LINEAR]
    others = ["transformer.patch_embed.text_proj", "transformer.proj_out", "transformer.norm_out.linear"]
    chosen = select_layers(_linear_layers([*linear, *others]), recipe)

    quantised = {name for name, choice in chosen.items() if choice.precision == "int8"}
    assert quantised == {
        f"transformer.transformer_blocks.{block}.{layer}/MatMul" for block in range(3, 39) for layer in LINEAR
    }
    assert all(choice.why for choice in chosen.values())
    assert "3 of 42" in chosen["transformer.transformer_blocks.41.ff.net.2/MatMul"].why


def _linear_layers(modules: list[str]) -> ir.Model:
    """A chain of products by a constant weight, one a module, and one of two activations."""
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((2, 2)))
    weight = ir.Value(
        name="w", const_value=ir.tensor(np.eye(2, dtype=np.float32)), type=ir.TensorType(ir.DataType.FLOAT)
    )
    nodes = [ir.node("MatMul", [x, x], name="transformer.transformer_blocks.5.attn1/MatMul")]
    for module in modules:
        nodes.append(ir.node("MatMul", [nodes[-1].outputs[0], weight], name=f"{module}/MatMul"))
    graph = ir.Graph([x], list(nodes[-1].outputs), nodes=nodes, initializers=[weight], opset_imports={"": 18})
    return ir.Model(graph, ir_version=9)


def test_the_report_says_which_layers_are_int8_and_why_others_are_not(typed: Derived) -> None:
    quantised = [group for group in typed.layers if group.precision == "int8"]
    assert sum(group.count for group in quantised) == len(LAYERS)
    last = next(group for group in typed.layers if "proj_out" in group.pattern)
    assert last.why
    assert typed.precision == "int8"


def test_layers_between_quantised_ones_are_as_in_fp16(typed: Derived, bundle: Bundle, tmp_path: Path) -> None:
    half = derive(bundle, "student", "fp16", None, tmp_path / "half.onnx")
    before = {node.name: node for node in onnx.load(half.path, load_external_data=False).graph.node}
    after = {node.name: node for node in onnx.load(typed.path, load_external_data=False).graph.node}
    untouched = [name for name in before if "/Cast_to" not in name and name not in LAYERS]
    pieces = ("embed", "norm", "proj_out", "attn1/Softmax", "graph/")
    kept = [name for name in untouched if any(piece in name for piece in pieces)]
    assert len(kept) > 50
    assert all(list(before[name].input) == list(after[name].input) for name in kept)


def test_layer_precisions_name_what_computes_and_leave_int8_layers_free(
    weak: Derived, bundle: Bundle, tmp_path: Path
) -> None:
    half = derive_weak(bundle, "student", "fp16", None, tmp_path / "half.onnx")
    block = "transformer.transformer_blocks.1"
    assert half.layer_precisions[f"{block}.attn1.to_q/MatMul"] == "fp16"
    assert half.layer_precisions[f"{block}.attn1/Softmax"] == "fp16"
    assert f"{block}.attn1/Reshape" not in half.layer_precisions
    assert set(half.layer_precisions) - set(weak.layer_precisions) == LAYERS
    assert {node.name for node in onnx.load(weak.path, load_external_data=False).graph.node} >= set(
        weak.layer_precisions
    )
    assert set(half.layer_precisions.values()) == {"fp16", "fp32"}


def test_the_weak_base_of_fp16_is_the_fp32_graph(bundle: Bundle, activations: Activations, tmp_path: Path) -> None:
    half = derive_weak(bundle, "student", "fp16", activations, tmp_path / "half.onnx")
    for sample in activations.graph("student").samples:
        found = run_onnx(half.path, sample.inputs)["z_0"]
        assert distance(found, sample.outputs["z_0"]).relative_l2 < 1e-6
