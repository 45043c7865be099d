"""Tracing, weights and parity: what is written is what torch computes, and a wrong graph never passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from videoscene_rt.engines.specs import TensorSpec
from videoscene_rt.export.graph_source import GraphSource, random_inputs
from videoscene_rt.export.parity import ParityError, compare, prove, relative_l2, require, run_file
from videoscene_rt.export.pixels import uint8_from_unit
from videoscene_rt.export.tracing import OPSET, trace
from videoscene_rt.export.weights import WeightFile

X = TensorSpec(name="x", dtype="float32", shape=(4, 32), meaning="anything")
Y = TensorSpec(name="y", dtype="float32", shape=(4, 32), meaning="anything")


class Layers(nn.Module):
    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.inner = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))
        for parameter in self.parameters():
            values = torch.randn(parameter.shape, generator=generator) * 0.2
            parameter.data = values.to(dtype).float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.inner(x)
        return y


def source(module: nn.Module, name: str = "layers", limit: float = 1e-4) -> GraphSource:
    return GraphSource(name, module, (X,), (Y,), "layers", lambda rng: random_inputs((X,), rng), parity_limit=limit)


def test_the_traced_file_computes_what_torch_does(tmp_path: Path) -> None:
    graph = source(Layers())
    trace(graph, tmp_path / "layers.onnx", WeightFile(tmp_path, "weights.bin"))
    parity = prove(graph, tmp_path / "layers.onnx")
    assert 0 <= parity.relative_l2["y"] < 1e-6
    x = np.random.default_rng(5).standard_normal((4, 32), dtype=np.float32)
    found = run_file(tmp_path / "layers.onnx", graph, {"x": x})["y"]
    weights = [parameter.detach().numpy().astype(np.float64) for parameter in graph.module.parameters()]
    by_hand = np.maximum(x @ weights[0].T + weights[1], 0) @ weights[2].T + weights[3]
    assert relative_l2(found, by_hand) < 1e-6


def test_two_graphs_share_one_copy_of_their_weights(tmp_path: Path) -> None:
    module, weights = Layers(), WeightFile(tmp_path, "weights.bin")
    trace(source(module, "one"), tmp_path / "one.onnx", weights)
    size = (tmp_path / "weights.bin").stat().st_size
    assert 2 * 32 * 32 * 4 <= size < 3 * 32 * 32 * 4
    trace(source(module, "two"), tmp_path / "two.onnx", weights)
    assert (tmp_path / "weights.bin").stat().st_size == size
    prove(source(module, "two"), tmp_path / "two.onnx")


@pytest.mark.parametrize(("dtype", "name"), [(torch.float16, "float16"), (torch.bfloat16, "bfloat16")])
def test_weights_are_stored_in_the_checkpoints_dtype(tmp_path: Path, dtype: torch.dtype, name: str) -> None:
    graph = source(Layers(dtype))
    trace(graph, tmp_path / "layers.onnx", WeightFile(tmp_path, "weights.bin", name))
    assert 2 * 32 * 32 * 2 <= (tmp_path / "weights.bin").stat().st_size < 2 * 32 * 32 * 4
    assert prove(graph, tmp_path / "layers.onnx").relative_l2["y"] < 1e-6


def test_a_value_that_the_narrow_dtype_cannot_hold_stays_wide(tmp_path: Path) -> None:
    graph = source(Layers())
    trace(graph, tmp_path / "layers.onnx", WeightFile(tmp_path, "weights.bin", "float16"))
    assert (tmp_path / "weights.bin").stat().st_size >= 2 * 32 * 32 * 4
    assert prove(graph, tmp_path / "layers.onnx").relative_l2["y"] < 1e-6


def test_the_file_tells_nothing_of_this_machine(tmp_path: Path) -> None:
    trace(source(Layers()), tmp_path / "layers.onnx", WeightFile(tmp_path, "weights.bin"))
    content = (tmp_path / "layers.onnx").read_bytes()
    for trail in (b"/home", b"/root", b"site-packages", b".py", str(Path.cwd()).encode()):
        assert trail not in content


def test_nodes_are_named_after_their_modules(tmp_path: Path) -> None:
    trace(source(Layers()), tmp_path / "layers.onnx", WeightFile(tmp_path, "weights.bin"))
    model = onnx.load(tmp_path / "layers.onnx")
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert any(name.startswith("inner.0/") for name in names)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [OPSET]
    onnx.checker.check_model(str(tmp_path / "layers.onnx"))


def test_the_same_module_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        trace(source(Layers()), tmp_path / name / "layers.onnx", WeightFile(tmp_path / name, "weights.bin"))
    for file in ("layers.onnx", "weights.bin"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_graph_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    graph = source(Layers())
    trace(graph, tmp_path / "layers.onnx", WeightFile(tmp_path, "weights.bin"))
    with torch.no_grad():
        graph.module.inner[2].bias.add_(1e-3)
    with pytest.raises(ParityError, match=r"graph layers: output y is off by a relative L2 of .*e-0") as caught:
        prove(graph, tmp_path / "layers.onnx")
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_passes(bad: float) -> None:
    good = np.ones(4, np.float32)
    for found, expected in ((good * bad, good), (good, good * bad), (good * bad, good * bad)):
        with pytest.raises(ParityError):
            require(compare({"y": found}, {"y": expected}, "itself", 1e-4), "g")


def test_relative_l2_is_the_published_formula() -> None:
    rng = np.random.default_rng(0)
    found, expected = rng.standard_normal((2, 50))
    assert relative_l2(found, expected) == pytest.approx(
        np.sqrt(((found - expected) ** 2).sum()) / np.sqrt((expected**2).sum())
    )
    assert relative_l2(np.zeros(3), np.zeros(3)) == 0
    assert relative_l2(np.full(3, 2.0), np.zeros(3)) == pytest.approx(np.sqrt(12))


def test_rounding_is_forgiven_and_nothing_else() -> None:
    expected = np.linspace(3, 250, 1000, dtype=np.float32)
    right = np.round(expected).astype(np.uint8)
    assert relative_l2(right, expected) == 0
    tie = np.full(4, 10.5, np.float32)
    assert relative_l2(np.full(4, 10, np.uint8), tie) == relative_l2(np.full(4, 11, np.uint8), tie) == 0
    wrong = right.copy()
    wrong[500] += 1
    assert relative_l2(wrong, expected) > 1e-5
    shifted = np.round(expected + 0.2).astype(np.uint8)
    assert relative_l2(shifted, expected) > 1e-4
    assert relative_l2(right + 1, right) > 1e-3  # bytes against bytes: value for value


def test_frames_are_proved_against_unrounded_ones(tmp_path: Path) -> None:
    frames = TensorSpec(name="frames", dtype="uint8", shape=(1, 4, 4, 3), meaning="frames")
    pixels = TensorSpec(name="pixels", dtype="float32", shape=(1, 3, 4, 4), meaning="pixels")

    class Frames(nn.Module):
        offset = 0.0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return uint8_from_unit(torch.sigmoid(x) + self.offset)

    graph = GraphSource("f", Frames(), (pixels,), (frames,), "f", lambda rng: random_inputs((pixels,), rng))
    trace(graph, tmp_path / "f.onnx", WeightFile(tmp_path, "w.bin"))
    assert prove(graph, tmp_path / "f.onnx").relative_l2["frames"] < 1e-6
    graph.module.offset = 0.002  # half a level
    with pytest.raises(ParityError):
        prove(graph, tmp_path / "f.onnx")


def test_a_proof_records_what_it_was() -> None:
    parity = compare({"y": np.array([1.0, 2.5])}, {"y": np.array([1.0, 2.0])}, "by hand", 1.0)
    assert (parity.reference, parity.limit, parity.max_abs) == ("by hand", 1.0, {"y": 0.5})
    assert parity.relative_l2 == {"y": pytest.approx(0.5 / 5**0.5)}
