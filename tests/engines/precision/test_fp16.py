"""Typed FP16 graphs: near the FP32 reference, FP32 where the recipe says so, the same interface, the same bytes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.onnx_runs import distance, run_onnx, run_rounding, worst
from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.precision import Derived, derive

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
# Relative L2 over three rooms. Measured: student 3.0e-4, encoders 1.2e-3, decoders 1.4e-3 (frames rounded to 256 levels).
LIMITS = {"student": 6e-4, "encode_images": 2e-3, "encode_clip": 2e-3, "decode_clip": 2.5e-3}
PUBLISHED_LIMITS = dict.fromkeys(("encode_images", "encode_first", "encode_next", "decode_first", "decode_next"), 3e-3)


@pytest.fixture(scope="module")
def student(bundle: Bundle, activations: Activations, tmp_path_factory: pytest.TempPathFactory) -> Derived:
    return derive(bundle, "student", "fp16", activations, tmp_path_factory.mktemp("fp16") / "student.onnx")


def _types(path: Path) -> dict[str, int]:
    model = onnx.load(path, load_external_data=False)
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values} | {
        initializer.name: initializer.data_type for initializer in model.graph.initializer
    }


def _compute_types(path: Path) -> dict[str, set[int]]:
    """The floating-point types each node reads and writes, by name."""
    types = _types(path)
    graph = onnx.load(path, load_external_data=False).graph
    return {
        node.name: {types[name] for name in (*node.input, *node.output) if name} & {FLOAT, HALF} for node in graph.node
    }


@pytest.mark.parametrize("graph", LIMITS)
def test_it_stays_near_the_fp32_reference(graph: str, bundle: Bundle, activations: Activations, tmp_path: Path) -> None:
    derived = derive(bundle, graph, "fp16", activations, tmp_path / "graph.onnx")
    onnx.checker.check_model(str(derived.path), full_check=True)
    for output, found in worst(derived.path, activations.graph(graph)).items():
        assert 0 < found.relative_l2 < LIMITS[graph], output
        assert found.cosine > 1 - LIMITS[graph] ** 2, output


def test_it_stays_near_with_every_value_rounded(student: Derived, activations: Activations) -> None:
    for sample in activations.graph("student").samples:
        found = distance(run_rounding(student.path, sample.inputs)["z_0"], sample.outputs["z_0"])
        assert found.relative_l2 < LIMITS["student"]


@pytest.mark.parametrize("graph", PUBLISHED_LIMITS)
def test_the_published_autoencoder_stays_near_the_fp32_reference(
    graph: str, published: Bundle, published_activations: Activations, tmp_path: Path
) -> None:
    derived = derive(published, graph, "fp16", published_activations, tmp_path / "graph.onnx")
    onnx.checker.check_model(str(derived.path), full_check=True)
    for output, found in worst(derived.path, published_activations.graph(graph)).items():
        assert found.relative_l2 < PUBLISHED_LIMITS[graph], output


@pytest.mark.parametrize("graph", ["student", "encode_images", "encode_stream", "decode_clip", "decode_stream"])
def test_inputs_and_outputs_keep_their_documented_types(graph: str, bundle: Bundle, tmp_path: Path) -> None:
    derived = derive(bundle, graph, "fp16", None, tmp_path / "graph.onnx")
    model = onnx.load(derived.path, load_external_data=False)
    found = [
        (
            value.name,
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim),
        )
        for value in (*model.graph.input, *model.graph.output)
    ]
    spec = bundle.graph(graph)
    assert found == [(tensor.name, tensor.dtype, tensor.shape) for tensor in (*spec.inputs, *spec.outputs)]


def test_the_islands_are_fp32_and_the_products_fp16(student: Derived) -> None:
    types = _compute_types(student.path)
    block = "transformer.transformer_blocks.1"
    islands = [
        "graph/Mul",
        "graph/Sub",
        "transformer.time_embedding.linear_1/Gemm",
        f"{block}.norm1.linear/Gemm",
        f"{block}.norm1.norm/LayerNormalization",
        f"{block}.norm1/Mul",
        f"{block}.norm2/Add_2",
        f"{block}.attn1.norm_q/LayerNormalization",
        f"{block}.ff.net.0/Pow",
        f"{block}/Mul",
        f"{block}/Add",
        "transformer.norm_out/Mul",
        "transformer.proj_out/MatMul",
    ]
    halves = [
        "transformer.patch_embed.proj/Conv",
        f"{block}.attn1.to_q/MatMul",
        f"{block}.attn1/MatMul",
        f"{block}.attn1/Softmax",
        f"{block}.attn1/MatMul_2",
        f"{block}.attn1.to_out.0/MatMul",
        f"{block}.ff.net.0.proj/MatMul",
        f"{block}.ff.net.2/MatMul",
    ]
    assert {name: types[name] for name in islands} == {name: {FLOAT} for name in islands}
    assert {name: types[name] for name in halves} == {name: {HALF} for name in halves}


def test_no_node_mixes_types_and_no_cast_follows_a_cast(student: Derived) -> None:
    graph = onnx.load(student.path, load_external_data=False).graph
    mixed = {name for name, types in _compute_types(student.path).items() if len(types) > 1}
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast"}
    assert mixed == {node.name for node in casts.values() if node.name in mixed}
    assert not [node.name for node in casts.values() if node.input[0] in casts]
    pairs = Counter((node.input[0], node.attribute[0].i) for node in casts.values())
    assert max(pairs.values()) == 1, "a value is cast to the same type twice"


def test_weights_of_fp16_layers_are_stored_in_fp16_alone(student: Derived) -> None:
    model = onnx.load(student.path)
    types = {initializer.name: initializer.data_type for initializer in model.graph.initializer}
    products = [node for node in model.graph.node if node.name.endswith(("to_q/MatMul", "ff.net.2/MatMul"))]
    assert len(products) == 4
    assert {types[node.input[1]] for node in products} == {HALF}
    assert onnx.TensorProto.DOUBLE not in types.values()
    used = {name for node in model.graph.node for name in node.input}
    assert set(types) <= used


def test_the_report_counts_every_layer_and_gives_reasons(student: Derived) -> None:
    by_pattern = {(group.pattern, group.precision): group for group in student.layers}
    assert by_pattern["transformer.transformer_blocks.*.*.linear/*", "fp32"].count == 4
    assert by_pattern["transformer.transformer_blocks.*.attn1/* [Softmax]", "fp16"].count == 2
    assert by_pattern["transformer.transformer_blocks.*.attn1/* [MatMul]", "fp16"].count == 4
    assert all(group.why and group.count > 0 for group in student.layers)
    assert "**" not in {group.pattern for group in student.layers}, "a layer fell through the recipe"


@pytest.mark.parametrize(("graph", "precision"), [("student", "fp16"), ("student", "int8"), ("decode_clip", "fp16")])
def test_the_same_inputs_give_the_same_bytes(
    graph: str, precision: str, bundle: Bundle, activations: Activations, tmp_path: Path
) -> None:
    files = []
    for name in ("one", "two"):
        derived = derive(bundle, graph, precision, activations, tmp_path / name / "graph.onnx")
        files.append([derived.path.read_bytes(), derived.path.with_name("graph.onnx.data").read_bytes()])
    assert files[0] == files[1]


def test_a_derived_graph_needs_no_other_file(student: Derived, activations: Activations, tmp_path: Path) -> None:
    for path in (student.path, student.path.with_name(f"{student.path.name}.data")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert worst(tmp_path / student.path.name, activations.graph("student"))["z_0"].relative_l2 < LIMITS["student"]


@pytest.mark.parametrize("graph", ["renderer", "policy"])
def test_an_fp32_graph_is_a_copy(graph: str, bundle: Bundle, activations: Activations, tmp_path: Path) -> None:
    derived = derive(bundle, graph, "fp32", activations, tmp_path / "graph.onnx")
    for found in worst(derived.path, activations.graph(graph)).values():
        assert found.relative_l2 == 0
    assert [(group.precision, group.pattern) for group in derived.layers] == [("fp32", "**")]


def test_a_precision_that_the_recipe_does_not_give_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="policy"):
        derive(bundle, "policy", "fp16", None, tmp_path / "graph.onnx")
    with pytest.raises(InputError, match="fp8"):
        derive(bundle, "student", "fp8", None, tmp_path / "graph.onnx")
    with pytest.raises(InputError, match="activations"):
        derive(bundle, "student", "int8", None, tmp_path / "graph.onnx")


def test_fp16_frames_differ_by_one_level_at_most(bundle: Bundle, activations: Activations, tmp_path: Path) -> None:
    derived = derive(bundle, "decode_clip", "fp16", activations, tmp_path / "graph.onnx")
    for sample in activations.graph("decode_clip").samples:
        frames = run_onnx(derived.path, sample.inputs)["frames"].astype(np.int32)
        levels = np.abs(frames - sample.outputs["frames"])
        assert levels.max() <= 1
        assert levels.mean() < 0.1
