"""Opset 18 said in opset 17: the same numbers, and what cannot be said is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.parser import parse_model
from onnx_ir.passes import common

from tests.support.onnx_runs import run_onnx
from videoscene_rt.engines.precision.opset17 import lower

# The shape of y, and the nodes that make it of x, float[2,4,3].
SAME = {
    "reduction": ("2", "axes = Constant<value = int64[2] {1, 2}>() y = ReduceMean<keepdims = 0>(x, axes)"),
    "reduction over all": ("1,1,1", "y = ReduceMax<keepdims = 1>(x)"),
    "split": ("2,2,3", "a, y = Split<axis = 1, num_outputs = 2>(x)"),
    "resize": (
        "2,4,6",
        "none = Constant<value = float[0] {}>() s = Constant<value = float[3] {1.0, 1.0, 2.0}>() "
        'y = Resize<mode = "nearest", antialias = 0, keep_aspect_ratio_policy = "stretch">(x, none, s)',
    ),
}
NEW = {
    "uneven split": ("2,4,1", "a, y = Split<axis = 2, num_outputs = 2>(x)"),
    "axes that are computed": ("2,4,1", "s = Shape<start = 0, end = 1>(x) y = ReduceMean(x, s)"),
    "scatter with a minimum": (
        "2,4,3",
        "i = Constant<value = int64[1,1,1] {0}>() u = Constant<value = float[1,1,1] {1.0}>() "
        'y = ScatterElements<reduction = "min">(x, i, u)',
    ),
}


def _load(case: tuple[str, str]) -> ir.Model:
    shape, body = case
    text = f'<ir_version: 9, opset_import: ["" : 18]> graph (float[2,4,3] x) => (float[{shape}] y) {{ {body} }}'
    model = ir.from_proto(parse_model(text))
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    return model


@pytest.mark.parametrize("case", SAME)
def test_the_meaning_stays(case: str, tmp_path: Path) -> None:
    model = _load(SAME[case])
    inputs = {"x": np.random.default_rng(0).standard_normal((2, 4, 3)).astype(np.float32)}
    ir.save(model, tmp_path / "before.onnx")
    assert lower(model)
    ir.save(model, tmp_path / "after.onnx")

    onnx.checker.check_model(str(tmp_path / "after.onnx"), full_check=True)
    assert onnx.load(tmp_path / "after.onnx").opset_import[0].version == 17
    before, after = (run_onnx(tmp_path / name, inputs)["y"] for name in ("before.onnx", "after.onnx"))
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("case", NEW)
def test_what_needs_18_stays_18(case: str) -> None:
    model = _load(NEW[case])
    before = ir.to_proto(model).SerializeToString()
    assert not lower(model)
    assert ir.to_proto(model).SerializeToString() == before
