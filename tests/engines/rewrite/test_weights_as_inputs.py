"""A derived student that is given its weights: the same numbers as with them inside, and other numbers with others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support.onnx_runs import distance, run_onnx
from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.precision import derive
from videoscene_rt.engines.precision.source import float_array
from videoscene_rt.engines.rewrite.weights_as_inputs import WeightInput, share, weights_as_inputs

BLOCK = "transformer.transformer_blocks.0."


def weights_of(path: Path) -> dict[str, np.ndarray]:
    """The first block's weights as a derived graph has them, by their names before."""
    held = ir.load(path).graph.initializers
    named = {name: value.const_value for name, value in held.items() if name.startswith(BLOCK)}
    return {name: float_array(tensor) for name, tensor in named.items() if tensor is not None}


def inputs_of(found: tuple[WeightInput, ...], weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    either = {name.removesuffix(".fp16"): array for name, array in weights.items()}
    return {one.name: either[one.weight].astype(one.dtype).reshape(one.shape) for one in found}


@pytest.mark.parametrize("weak", [False, True])
def test_the_numbers_are_those_of_the_weights(
    bundle: Bundle, activations: Activations, tmp_path: Path, weak: bool
) -> None:
    plain, path = tmp_path / "plain.onnx", tmp_path / "student.onnx"
    for out in (plain, path):
        derive(bundle, "student", "fp16", activations, out)
    weights = weights_of(plain)
    found, layers = share(path, {name.removesuffix(".fp16") for name in weights}, weak=weak)
    onnx.checker.check_model(str(path))
    given = inputs_of(found, weights)
    assert {one.dtype for one in found} == {"float16", "float32"}
    assert weights_of(path) == {}
    sample = activations.graphs["student"].samples[0]
    expected, same = run_onnx(plain, sample.inputs), run_onnx(path, {**sample.inputs, **given})
    assert distance(same["z_0"], expected["z_0"]).relative_l2 < 2e-4
    biggest = max(found, key=lambda one: int(np.prod(one.shape))).name
    other = run_onnx(path, {**sample.inputs, **given, biggest: given[biggest] * 2})
    assert distance(other["z_0"], expected["z_0"]).relative_l2 > 1e-3
    model = onnx.load(path, load_external_data=False)
    nodes = {node.name: node for node in model.graph.node}
    assert len(nodes) == len(model.graph.node)
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    assert (opset, bool(layers)) == ((17, True) if weak else (18, False))
    if weak:
        assert layers.keys() <= nodes.keys()
        assert {layers[name] for name in layers if nodes[name].op_type == "LayerNormalization"} == {"fp32"}
        linear = [name for name in layers if name.startswith(f"{BLOCK}ff.net.2/MatMul")]
        assert [layers[name] for name in linear] == ["fp16"]


def test_norms_take_no_input_as_their_scale(bundle: Bundle, activations: Activations, tmp_path: Path) -> None:
    path = tmp_path / "student.onnx"
    derive(bundle, "student", "fp16", activations, path)
    share(path, {name.removesuffix(".fp16") for name in weights_of(path)}, weak=False)
    graph = ir.load(path).graph
    norms = [node for node in graph if node.op_type == "LayerNormalization"]
    assert norms
    assert not any(value in graph.inputs for node in norms for value in node.inputs[1:])


def test_a_graph_without_the_weights_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match="none of the weights"):
        weights_as_inputs(ir.load(bundle.graph_path("policy")), {"nobody.weight"})
