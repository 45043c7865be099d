"""A student with ONNX's own Attention: the same numbers, no scores."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.support.onnx_runs import distance, run_onnx
from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.precision import derive
from videoscene_rt.engines.precision.source import load_source
from videoscene_rt.engines.rewrite import NotApplicable, Rewrite, apply

OPERATOR = Rewrite(name="attention_as_operator", version=1, graphs=("student",), backends=(), why="")


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 2e-6), ("fp16", 5e-3)])
def test_the_numbers_stay(
    bundle: Bundle, activations: Activations, precision: str, limit: float, tmp_path: Path
) -> None:
    path = tmp_path / "student.onnx"
    derived = derive(bundle, "student", precision, activations, path, rewrites=(OPERATOR,))
    assert any(note.startswith("attention as ONNX's operator, 2 times") for note in derived.notes)
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(str(path))
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [23]
    assert [node.op_type for node in model.graph.node].count("Attention") == 2
    assert not any(node.op_type == "Softmax" for node in model.graph.node)
    for sample in activations.graphs["student"].samples:
        found = run_onnx(path, sample.inputs)
        for name, expected in sample.outputs.items():
            assert distance(found[name], expected).relative_l2 < limit


def test_other_graphs_are_left_alone(bundle: Bundle) -> None:
    with pytest.raises(NotApplicable, match="no softmax"):
        apply(OPERATOR, load_source(bundle.graph_path("policy")))
