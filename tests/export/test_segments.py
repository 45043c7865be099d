"""An ONNX file run a piece at a time gives what it gives when it is run whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.export.test_tracing import Layers, source
from videoscene_rt.export.parity import relative_l2, run_file
from videoscene_rt.export.segments import cut, run_in_segments
from videoscene_rt.export.tracing import trace
from videoscene_rt.export.weights import WeightFile


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pieces_give_what_the_whole_gives(tmp_path: Path, dtype: str) -> None:
    graph = source(Layers(getattr(torch, dtype)))
    path = tmp_path / "layers.onnx"
    trace(graph, path, WeightFile(tmp_path, "weights.bin", dtype))
    before = sorted(file.name for file in tmp_path.iterdir())
    x = np.random.default_rng(3).standard_normal((4, 32), dtype=np.float32)
    whole = run_file(path, graph, {"x": x})["y"]
    told: list[tuple[int, int]] = []
    for budget, pieces in ((1, 3), (32 * 32 * 4 + 400, 2), (1 << 20, 1)):
        segments = cut(onnx.load(path, load_external_data=False), budget)
        assert len(segments) == pieces
        found = run_in_segments(path, {"x": x}, budget, lambda done, total: told.append((done, total)))
        assert list(found) == ["y"]
        assert relative_l2(found["y"], whole) < 1e-6
        assert told[-1] == (pieces, pieces)
    assert sorted(file.name for file in tmp_path.iterdir()) == before, "the pieces are gone"


def test_a_cast_of_a_weight_goes_where_the_weight_is_used(tmp_path: Path) -> None:
    """All casts stand at the head of a file: taken as they come, the first piece would hold every weight."""
    trace(source(Layers(torch.float16)), tmp_path / "layers.onnx", WeightFile(tmp_path, "weights.bin", "float16"))
    model = onnx.load(tmp_path / "layers.onnx", load_external_data=False)
    assert [node.op_type for node in model.graph.node[:2]] == ["Cast", "Cast"]
    for segment in cut(model, 1):
        assert sum(node.op_type == "Cast" for node in segment.nodes) <= 1
        assert len([name for name in segment.weights if name.endswith(".float16")]) <= 1
