"""The overflow scan: values that FP16 cannot hold are found on real activations and kept in FP32."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.support.onnx_runs import distance, run_onnx, run_rounding
from videoscene_rt.engines.activations import Activations, GraphActivations, Sample
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.precision import derive, derive_weak

LAYER = "transformer.transformer_blocks.1.ff.net.2"


@pytest.fixture(scope="module")
def swollen(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle, its student's last block with a feed-forward branch 2e5 times as large, cut down again by its gate."""
    folder = tmp_path_factory.mktemp("swollen") / "bundle"
    shutil.copytree(bundle.folder, folder)
    path = folder / bundle.graph("student").file
    model = onnx.load(path)
    gate = _gate_rows(model)
    _scale(model, _weight(model, f"{LAYER}/MatMul"), 2e5)
    _scale(model, f"{LAYER}.bias", 2e5)
    for name in ("weight", "bias"):
        _scale(model, f"transformer.transformer_blocks.1.norm2.linear.{name}", 1 / 2e5, gate)
    onnx.save(model, path)
    return Bundle(folder, bundle.manifest)


@pytest.fixture(scope="module")
def swollen_activations(swollen: Bundle, activations: Activations) -> Activations:
    path = swollen.graph_path("student")
    samples = tuple(
        Sample(sample.scene, sample.inputs, run_onnx(path, sample.inputs))
        for sample in activations.graph("student").samples
    )
    return Activations({"student": GraphActivations("student", samples)}, activations.digest, activations.scenes)


def _weight(model: onnx.ModelProto, node: str) -> str:
    return next(found.input[1] for found in model.graph.node if found.name == node)


def _gate_rows(model: onnx.ModelProto) -> np.ndarray:
    """Rows of norm2's linear layer that make both gates: the third and the sixth of its six pieces."""
    rows = next(
        initializer.dims[0]
        for initializer in model.graph.initializer
        if initializer.name == "transformer.transformer_blocks.1.norm2.linear.weight"
    )
    return np.isin(np.arange(rows) // (rows // 6), (2, 5))


def _scale(model: onnx.ModelProto, name: str, factor: float, rows: np.ndarray | None = None) -> None:
    initializer = next(found for found in model.graph.initializer if found.name == name)
    array = numpy_helper.to_array(initializer).copy()
    array[slice(None) if rows is None else rows] *= np.float32(factor)
    initializer.CopyFrom(numpy_helper.from_array(array, name))


def _error(path: Path, activations: Activations) -> float:
    return max(
        distance(run_rounding(path, sample.inputs)["z_0"], sample.outputs["z_0"]).relative_l2
        for sample in activations.graph("student").samples
    )


def test_without_activations_the_graph_overflows(
    swollen: Bundle, swollen_activations: Activations, tmp_path: Path
) -> None:
    derived = derive(swollen, "student", "fp16", None, tmp_path / "graph.onnx")
    assert not np.isfinite(_error(derived.path, swollen_activations))


def test_the_scan_finds_the_overflow_and_an_island_mends_it(
    swollen: Bundle, swollen_activations: Activations, tmp_path: Path
) -> None:
    derived = derive(swollen, "student", "fp16", swollen_activations, tmp_path / "graph.onnx")
    assert _error(derived.path, swollen_activations) < 1e-3
    found = [group for group in derived.layers if group.pattern == "overflow scan"]
    assert found
    assert all(group.precision == "fp32" and "room-" in group.why and "65504" in group.why for group in found)


def test_the_island_holds_for_weakly_typed_builders_too(
    swollen: Bundle, swollen_activations: Activations, bundle: Bundle, activations: Activations, tmp_path: Path
) -> None:
    before = derive_weak(bundle, "student", "fp16", activations, tmp_path / "before.onnx")
    after = derive_weak(swollen, "student", "fp16", swollen_activations, tmp_path / "after.onnx")
    assert before.layer_precisions[f"{LAYER}/MatMul"] == "fp16"
    assert after.layer_precisions[f"{LAYER}/MatMul"] == "fp32"


def test_a_sound_graph_gets_no_islands_from_the_scan(bundle: Bundle, activations: Activations, tmp_path: Path) -> None:
    derived = derive(bundle, "student", "fp16", activations, tmp_path / "graph.onnx")
    assert not [group for group in derived.layers if group.pattern == "overflow scan"]


def test_a_weight_beyond_fp16_is_found_without_activations(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.folder, folder)
    path = folder / bundle.graph("student").file
    model = onnx.load(path)
    name = _weight(model, f"{LAYER}/MatMul")
    _scale(model, name, 1e7)
    onnx.save(model, path)

    derived = derive(Bundle(folder, bundle.manifest), "student", "fp16", None, tmp_path / "graph.onnx")
    found = [group for group in derived.layers if group.pattern == "overflow scan"]
    assert [(group.count, group.precision, name in group.why) for group in found] == [(1, "fp32", True)]
    stored = {initializer.name: initializer.data_type for initializer in onnx.load(derived.path).graph.initializer}
    assert stored[name] == onnx.TensorProto.FLOAT
