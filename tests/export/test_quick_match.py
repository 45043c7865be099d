"""Looking at the operator first finds what onnxscript finds, and leaves onnxscript as it was."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import pytest
from onnxscript import optimizer

from videoscene_rt.export.quick_match import first_operators_first

matching = pytest.importorskip("onnxscript.rewriter._matcher")

GRAPH = """
<ir_version: 8, opset_import: ["": 18]>
graph (float[4, 6] x, float[6, 8] w) => (float[4, 4] a, float[4, 4] b, float[4, 8] c, float[8, 4] d)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1] four = {4}, int64[1] eight = {8},
 int64[2] shape = {4, 6}, float least = {0.0}, float most = {6.0}>
{
   same = Reshape(x, shape)
   turned = Transpose <perm = [1, 0]> (same)
   back = Transpose <perm = [1, 0]> (turned)
   cast = Cast <to = 1> (back)
   product = MatMul(cast, w)
   positive = Relu(product)
   clipped = Clip(positive, least, most)
   b = Slice(clipped, four, eight, one)
   a = Slice(clipped, zero, four, one)
   c = Max(product, least)
   twice = Transpose <perm = [1, 0]> (c)
   d = Identity(twice)
}
"""


def optimized(monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str], int]:
    """The graph after it, the operators in it, and how often a pattern was looked at to its end."""
    model, looks = ir.from_onnx_text(GRAPH), []
    whole = matching.SimplePatternMatcher._init_match

    def counted(*args: Any) -> Any:
        looks.append(args)
        return whole(*args)

    with monkeypatch.context() as patch:
        patch.setattr(matching.SimplePatternMatcher, "_init_match", counted)
        optimizer.optimize(model)
    return str(ir.to_proto(model)), [node.op_type for node in model.graph], len(looks)


def test_the_same_rules_match(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, before, many = optimized(monkeypatch)
    assert before.count("Split") == 1, "the rule with two results"
    assert "Cast" not in before
    with first_operators_first():
        found, _, few = optimized(monkeypatch)
    assert found == expected
    assert few < many / 4


def test_onnxscript_is_as_it_was() -> None:
    theirs = vars(matching.SimplePatternMatcher)["match"]
    with pytest.raises(RuntimeError, match="within"), first_operators_first():
        raise RuntimeError("within")
    assert vars(matching.SimplePatternMatcher)["match"] is theirs


def test_a_matcher_that_looks_otherwise_inside_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(matching, "SimplePatternMatcher")
    with first_operators_first():
        assert not hasattr(matching, "SimplePatternMatcher")
