"""The student with its timestep's values in a table: the same numbers for every candidate, and NaN for anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from tests.support.onnx_runs import worst
from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.precision import derive, derive_weak
from videoscene_rt.engines.precision.source import load_source
from videoscene_rt.engines.rewrite import NotApplicable, Rewrite, apply, holds_for_all, marks, rewrites_for

TABLE = rewrites_for("student", "tensorrt")


@pytest.fixture(scope="module")
def rewritten(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "student.onnx"
    return derive(bundle, "student", "fp32", None, path, rewrites=TABLE).path


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _feed(bundle: Bundle) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    floats = [spec for spec in bundle.graph("student").inputs if spec.name != "timestep"]
    return {spec.name: rng.standard_normal(spec.shape).astype(np.float32) for spec in floats}


def test_every_candidate_gives_the_same_numbers_and_everything_else_nan(bundle: Bundle, rewritten: Path) -> None:
    before, after, feed = _session(bundle.graph_path("student")), _session(rewritten), _feed(bundle)
    candidates = bundle.manifest.policy.timesteps
    for timestep in candidates:
        feed["timestep"] = np.array([timestep], np.int32)
        np.testing.assert_array_equal(after.run(None, feed)[0], before.run(None, feed)[0])
    for other in {0, candidates[0] + 1, candidates[-1] - 1, 999} - set(candidates):
        feed["timestep"] = np.array([other], np.int32)
        assert np.isnan(after.run(None, feed)[0]).all()


def test_the_candidates_differ(bundle: Bundle, rewritten: Path) -> None:
    """Or a table with one row throughout would pass."""
    session, feed = _session(rewritten), _feed(bundle)
    first, last = bundle.manifest.policy.timesteps[0], bundle.manifest.policy.timesteps[-1]
    found = [session.run(None, {**feed, "timestep": np.array([one], np.int32)})[0] for one in (first, last)]
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_no_matrix_of_the_timestep_is_left(bundle: Bundle, rewritten: Path) -> None:
    before = onnx.load(bundle.graph_path("student"), load_external_data=False).graph.node
    after = onnx.load(rewritten, load_external_data=False).graph.node
    assert sum(node.op_type == "Gemm" for node in before) > 2
    assert not any(node.op_type == "Gemm" for node in after)
    products = [sum(node.op_type == "MatMul" for node in nodes) for nodes in (before, after)]
    assert products[0] == products[1]
    assert sum(node.op_type == "Gather" for node in after) == 2


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_it_goes_with_narrow_types(bundle: Bundle, activations: Activations, precision: str, tmp_path: Path) -> None:
    plain = derive(bundle, "student", precision, activations, tmp_path / "plain.onnx")
    table = derive(bundle, "student", precision, activations, tmp_path / "table.onnx", rewrites=TABLE)
    onnx.checker.check_model(str(table.path), full_check=True)
    own = worst(table.path, activations.graph("student"))["z_0"].relative_l2
    assert own == pytest.approx(worst(plain.path, activations.graph("student"))["z_0"].relative_l2, rel=0.2)
    stored = onnx.load(table.path)
    table_type = next(one.data_type for one in stored.graph.initializer if one.name.endswith("timestep_table.values"))
    assert table_type == onnx.TensorProto.FLOAT


def test_layers_keep_their_precisions_for_8_6(bundle: Bundle, activations: Activations, tmp_path: Path) -> None:
    plain = derive_weak(bundle, "student", "fp16", activations, tmp_path / "plain.onnx")
    table = derive_weak(bundle, "student", "fp16", activations, tmp_path / "table.onnx", rewrites=TABLE)
    assert table.layer_precisions.items() < plain.layer_precisions.items()


def test_an_engine_says_which_timesteps_it_knows() -> None:
    assert [one[0] for one in marks("student", "tensorrt", (99, 199))] == ["timestep_table"]
    assert marks("student", "tensorrt", (99, 199)) != marks("student", "tensorrt", (99, 299))
    assert marks("decode_clip", "tensorrt", (99, 199)) == marks("decode_clip", "tensorrt", (99, 299))
    assert marks("student", "onnxruntime", (99,)) == []
    assert not holds_for_all("student", "tensorrt")
    assert holds_for_all("student", "onnxruntime")


def _apply(model: ir.Model, timesteps: tuple[int, ...] = (99,)) -> str:
    (table,) = [one for one in TABLE if one.name == "timestep_table"]
    assert isinstance(table, Rewrite)
    return apply(table, model, (), timesteps)


def test_other_graphs_are_left_alone(bundle: Bundle) -> None:
    with pytest.raises(NotApplicable, match="no input timestep"):
        _apply(load_source(bundle.graph_path("policy")))
    with pytest.raises(NotApplicable, match="no candidates"):
        _apply(load_source(bundle.graph_path("student")), ())
