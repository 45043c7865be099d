"""A student whose attention is the plug-in's op: the same numbers with NumPy in the op's place, and other graphs left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from tests.support.attention_inside import expose, insides, reference, spelt, table, with_outputs
from tests.support.onnx_runs import distance
from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.precision import derive, derive_weak
from videoscene_rt.engines.precision.source import load_source
from videoscene_rt.engines.rewrite import NotApplicable, apply, can_use_plugin, marks, rewrites_for

(PLUGIN,) = (one for one in rewrites_for("student", "tensorrt", plugin=True) if one.needs == "plugin")
Array = npt.NDArray[np.float32]


class VideoSceneAttention(OpRun):  # type: ignore[misc]
    """The op in NumPy, with the plug-in's fields."""

    op_domain = "videoscene_rt"

    def _run(self, query: Array, key: Array, value: Array, together: int, scale: float) -> tuple[Array]:
        assert together == 0
        scores = np.einsum("bhqc,bhkc->bhqk", *(np.asarray(one, np.float64) for one in (query, key))) * scale
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        out = np.einsum("bhqk,bhkc->bhqc", weights / weights.sum(-1, keepdims=True), np.asarray(value, np.float64))
        return (out.astype(query.dtype),)


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 2e-6), ("fp16", 5e-3), ("int8", 5e-2)])
def test_the_numbers_stay(
    bundle: Bundle, activations: Activations, precision: str, limit: float, tmp_path: Path
) -> None:
    path = tmp_path / "student.onnx"
    derived = derive(bundle, "student", precision, activations, path, rewrites=(PLUGIN,))
    assert any(note.startswith("attention as a plug-in, 2 times") for note in derived.notes)
    sample = activations.graphs["student"].samples[0]
    evaluator = ReferenceEvaluator(str(path), new_ops=[VideoSceneAttention])
    found = dict(zip(evaluator.output_names, evaluator.run(None, dict(sample.inputs)), strict=True))
    for name, expected in sample.outputs.items():
        assert distance(found[name], expected).relative_l2 < limit


def test_scores_are_gone_and_names_stay(bundle: Bundle, activations: Activations, tmp_path: Path) -> None:
    path = tmp_path / "student.onnx"
    derive(bundle, "student", "fp16", activations, path, rewrites=(PLUGIN,))
    onnx.checker.check_model(str(path))
    before = onnx.load(bundle.graph_path("student"), load_external_data=False).graph
    after = onnx.load(path, load_external_data=False)
    made = [node for node in after.graph.node if node.op_type == "VideoSceneAttention"]
    softmaxes = [node for node in before.node if node.op_type == "Softmax"]
    assert len(made) == len(softmaxes) == 2
    assert not any(node.op_type == "Softmax" for node in after.graph.node)
    products = [node.output[0] for old in softmaxes for node in before.node if old.output[0] in node.input]
    assert [node.output[0] for node in made] == products
    assert {node.domain for node in made} <= {entry.domain for entry in after.opset_import}
    types = {value.name: value.type.tensor_type.elem_type for value in after.graph.value_info}
    for node in made:
        fields = {field.name: onnx.helper.get_attribute_value(field) for field in node.attribute}
        assert fields == {"together": 0, "scale": pytest.approx(0.125)}
        assert {types[name] for name in (*node.input, *node.output)} == {onnx.TensorProto.FLOAT16}


def test_8_6_gets_it_in_fp16_too(bundle: Bundle, activations: Activations, tmp_path: Path) -> None:
    derived = derive_weak(bundle, "student", "fp16", activations, tmp_path / "student.onnx", rewrites=(PLUGIN,))
    named = {name: kind for name, kind in derived.layer_precisions.items() if name.endswith("/VideoSceneAttention")}
    assert len(named) == 2
    assert set(named.values()) == {"fp16"}


def test_it_is_tensorrts_where_a_plug_in_is_given_and_fp32_is_not_asked_for() -> None:
    def names(graph: str, backend: str, plugin: bool) -> list[str]:
        found = [one[0] for one in marks(graph, backend, (99,), plugin=plugin)]
        assert found == [one.name for one in rewrites_for(graph, backend, plugin=plugin)]
        return found

    assert names("student", "tensorrt", True) == ["timestep_table", "attention_as_plugin"]
    assert names("student", "tensorrt", False) == ["timestep_table"]
    for graph, backend in (("student", "tensorrt-rtx"), ("student", "onnxruntime"), ("decode_clip", "tensorrt")):
        assert "attention_as_plugin" not in names(graph, backend, True)
        assert not can_use_plugin(graph, backend, "fp16")
    assert [can_use_plugin("student", "tensorrt", one) for one in ("fp32", "fp16", "int8")] == [False, True, True]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_lowering_and_calibration_leave_it_as_it_is(
    bundle: Bundle, activations: Activations, precision: str, tmp_path: Path
) -> None:
    """What TensorRT 8.6 gets: opset 17, the op in its own domain, its inputs' shapes known, and the same numbers."""
    path, both = tmp_path / "student.onnx", rewrites_for("student", "tensorrt", plugin=True)
    derived = derive_weak(bundle, "student", precision, activations, path, rewrites=both)
    assert derived.rewritten == ("timestep_table", "attention_as_plugin")
    model = onnx.load(path, load_external_data=False)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 17, "videoscene_rt": 1}
    made = [node for node in model.graph.node if node.op_type == "VideoSceneAttention"]
    assert {derived.layer_precisions[node.name] for node in made} == {"fp16"}
    assert all(node.domain == "videoscene_rt" and len(node.output) == 1 for node in made)
    assert {attribute.name: attribute.type for attribute in made[0].attribute} == {
        "together": onnx.AttributeProto.INT,
        "scale": onnx.AttributeProto.FLOAT,
    }
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in model.graph.value_info}
    for node in made:
        assert shapes[node.output[0]] == shapes[node.input[0]]
        assert shapes[node.output[0]][-1] == 64
    if precision == "int8":
        return  # ONNX's reference has no dequantising of opset 17; the numbers of INT8 are those of the typed graph above
    sample = activations.graphs["student"].samples[0]
    evaluator = ReferenceEvaluator(str(path), new_ops=[VideoSceneAttention])
    found = dict(zip(evaluator.output_names, evaluator.run(None, dict(sample.inputs)), strict=True))
    for name, expected in sample.outputs.items():
        assert distance(found[name], expected).relative_l2 < 2e-6


def test_other_graphs_are_left_alone(bundle: Bundle) -> None:
    with pytest.raises(NotApplicable, match="no softmax"):
        apply(PLUGIN, load_source(bundle.graph_path("decode_clip")))
    model = load_source(bundle.graph_path("student"))
    scores = next(node for node in model.graph if node.op_type == "Softmax").inputs[0]
    assert scores is not None
    with pytest.raises(NotApplicable, match="must be kept"):
        apply(PLUGIN, model, (scores.name or "",))


def test_what_fp16_cannot_hold_is_not_given_to_it(bundle: Bundle) -> None:
    """Queries, keys, values or a result that the overflow scan found would make the node FP32, which the plug-in does not take."""
    made = load_source(bundle.graph_path("student"))
    apply(PLUGIN, made)
    node = next(node for node in made.graph if node.op_type == "VideoSceneAttention")
    for value in (*node.inputs, node.outputs[0]):
        assert value is not None
        with pytest.raises(NotApplicable, match="does not fit into FP16"):
            apply(PLUGIN, load_source(bundle.graph_path("student")), (value.name or "",))


def _changed(bundle: Bundle, operator: str) -> ir.Model:
    """A student whose first scores go through one more node."""
    model = load_source(bundle.graph_path("student"))
    softmax = next(node for node in model.graph if node.op_type == "Softmax")
    scores = softmax.inputs[0]
    assert scores is not None
    inputs = [scores, scores] if operator == "Add" else [scores]
    between = ir.node(operator, inputs, name="a mask")
    between.outputs[0].name, between.outputs[0].dtype, between.outputs[0].shape = "masked", scores.dtype, scores.shape
    model.graph.insert_before(softmax, between)
    softmax.replace_input_with(0, between.outputs[0])
    return model


@pytest.mark.parametrize("operator", ["Add", "Relu"])
def test_a_mask_is_not_lost(bundle: Bundle, operator: str) -> None:
    with pytest.raises(NotApplicable, match="does not stand between two products alone"):
        apply(PLUGIN, _changed(bundle, operator))


def test_keys_that_are_not_transposed_are_not_taken_for_it(bundle: Bundle) -> None:
    model = load_source(bundle.graph_path("student"))
    turn = next(
        node
        for node in model.graph
        if node.op_type == "Transpose" and list(node.attributes.get_ints("perm", [])) == [0, 2, 1]
    )
    turn.attributes["perm"] = ir.AttrInt64s("perm", [1, 2, 0])
    with pytest.raises(NotApplicable, match="not known as transposed keys"):
        apply(PLUGIN, model)


@pytest.mark.parametrize(("damage", "lost"), [("", None), ("keys", 1), ("scale", 0)])
def test_what_attention_reads_and_writes_is_told_block_by_block(
    bundle: Bundle, activations: Activations, damage: str, lost: int | None, tmp_path: Path
) -> None:
    """What tests/gpu/test_tensorrt_attention.py looks at in a plan: a block that attends wrongly, one that is given wrong keys."""
    path, exposed, feed = (
        tmp_path / "student.onnx",
        tmp_path / "inside.onnx",
        activations.graphs["student"].samples[0].inputs,
    )
    derive_weak(bundle, "student", "fp16", None, path, rewrites=(PLUGIN,))
    if damage:
        _damage(path, damage)
    found = insides(bundle)
    assert len(found) == 2
    spec = with_outputs(bundle.graph("student"), expose(path, exposed, found))
    assert {tensor.dtype for tensor in spec.outputs} == {"float32"}
    evaluator = ReferenceEvaluator(str(exposed), new_ops=[VideoSceneAttention])
    got = dict(zip(evaluator.output_names, evaluator.run(None, dict(feed)), strict=True))
    assert list(got) == [tensor.name for tensor in spec.outputs]
    rows = table(found, got, reference(bundle, found, feed))
    assert spelt(rows).startswith("block 0: query ")
    small = 1e-5
    assert [row["alone"] < small for row in rows] == [damage != "scale", True]
    assert [row["key"] < small for row in rows] == [True, lost is None]
    assert [row["out"] < small for row in rows] == [damage != "scale", lost is None]


def _damage(path: Path, damage: str) -> None:
    """The first block attends with another scale, or the second is given the first's keys."""
    model = onnx.load(path)
    first, second = (node for node in model.graph.node if node.op_type == "VideoSceneAttention")
    if damage == "scale":
        next(one for one in first.attribute if one.name == "scale").f *= 2
    else:
        keys = next(node for node in model.graph.node if second.input[1] in node.output)
        keys.input[0] = next(node for node in model.graph.node if first.input[1] in node.output).input[0]
    onnx.save(model, path)
