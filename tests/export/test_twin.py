"""A large bundle's proof on its small twin: it holds what is right, and nothing that is wrong passes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support.presets import PUBLISHED
from videoscene_rt import BackendError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.engines.specs import Parity
from videoscene_rt.export import needs
from videoscene_rt.export.bundle_export import ExportRequest, export_bundle
from videoscene_rt.export.ends import EndsError, prove_ends, without_blocks
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.graphs import chain_graphs
from videoscene_rt.export.models import build_filled, build_shells
from videoscene_rt.export.needs import memory_of_whole_proof, proved_whole
from videoscene_rt.export.parity import ParityError, prove
from videoscene_rt.export.presets import load_preset
from videoscene_rt.export.segments import run_in_segments
from videoscene_rt.export.sources import weight_sources
from videoscene_rt.export.tracing import Traced, structure, trace
from videoscene_rt.export.twin import Matching, Scales, TwinError, agree, twin_preset
from videoscene_rt.export.twin_proof import TwinProof
from videoscene_rt.export.weights import Stored, WeightFile

LARGE = PUBLISHED.model_copy(update={"name": "large", "height": 64, "width": 128})
ONE_BLOCK = LARGE.model_copy(update={"student": LARGE.student.model_copy(update={"blocks": 1})})


@dataclass(frozen=True)
class Exported:
    """A student that was traced without its weights and written, its numbers streamed from a seed, in bfloat16."""

    folder: Path
    source: GraphSource
    traced: Traced
    proof: TwinProof
    matching: Matching
    stored: Stored
    parity: Parity

    @property
    def path(self) -> Path:
        return self.folder / "student.onnx"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    folder = tmp_path_factory.mktemp("exported")
    sources = weight_sources(LARGE, None, 0, seed_dtype="bfloat16")
    models = build_shells(LARGE, sources, None)
    source = next(graph for graph in chain_graphs(models, LARGE) if graph.name == "student")
    traced, proof = structure(source), TwinProof(LARGE, sources, None, folder)
    matching = proof.matching(traced)
    assert matching is not None
    stored = traced.write(folder / "student.onnx", WeightFile(folder, "weights_student.bin", "bfloat16"))
    parity = proof.graph(source, folder / "student.onnx", matching, stored)
    yield Exported(folder, source, traced, proof, matching, stored, parity)
    proof.close()
    assert sorted(path.name for path in folder.iterdir()) == ["student.onnx", "weights_student.bin"]


def test_what_was_proved_is_said_with_its_figures(exported: Exported) -> None:
    parity = exported.parity
    assert 0 < parity.relative_l2["z_0"] < 1e-5
    assert parity.scope.startswith(
        "at 17×32×48, with the same weights, a layer at a time; at 17×64×128 it is the same graph"
    )
    assert list(parity.parts) == ["without its blocks, at 17×64×128"]
    assert 0 < parity.parts["without its blocks, at 17×64×128"] < 1e-5


def test_a_streamed_graph_is_the_one_with_its_models_in_memory(exported: Exported, tmp_path: Path) -> None:
    """The same ONNX file and the same weights, byte for byte."""
    models = build_filled(LARGE, weight_sources(LARGE, None, 0, seed_dtype="bfloat16"), None)
    source = next(graph for graph in chain_graphs(models, LARGE) if graph.name == "student")
    trace(source, tmp_path / "student.onnx", WeightFile(tmp_path, "weights_student.bin", "bfloat16"))
    for name in ("student.onnx", "weights_student.bin"):
        assert (tmp_path / name).read_bytes() == (exported.folder / name).read_bytes(), name


def test_the_twins_weights_are_the_bundles_own_bytes(exported: Exported) -> None:
    graph = onnx.load(exported.folder / "twin_student.onnx", load_external_data=False).graph
    places = [entry.value for tensor in graph.initializer for entry in tensor.external_data if entry.key == "location"]
    assert places.count("weights_student.bin") > 30
    assert places.count("twin_weights.bin") == 3, (
        "positions and the two tables of RoPE, which have a row for each token"
    )


@pytest.mark.parametrize("weight", ["transformer_blocks.1.ff.net.2.weight", "patch_embed.proj.weight"])
def test_wrong_bytes_in_the_weight_file_do_not_pass(exported: Exported, tmp_path: Path, weight: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(exported.folder, folder)
    place = next(place for name, place in exported.stored.items() if weight in name)
    assert isinstance(place, ir.ExternalTensor)
    with (folder / "weights_student.bin").open("r+b") as file:
        file.seek((place.offset or 0) + 400)
        file.write(b"\x40" * 4)
    twin = exported.matching.twin.source
    with pytest.raises(ParityError, match="graph student: output z_0 is off"):
        prove(twin, folder / "twin_student.onnx", run=lambda path, source, inputs: run_in_segments(path, inputs))


@pytest.fixture(scope="module")
def pair() -> tuple[Traced, Traced]:
    """A twin and a large graph of one block, traced, without weights; tests put back what they change."""
    one, other = (_graphs(preset)[2] for preset in (twin_preset(ONE_BLOCK), ONE_BLOCK))
    return structure(one), structure(other)


def _graphs(preset: Preset) -> list[GraphSource]:
    """Renderer, policy, student."""
    return chain_graphs(build_shells(preset, weight_sources(preset, None, 0), None), preset)


def test_a_graph_agrees_with_its_twin_and_with_no_other(pair: tuple[Traced, Traced]) -> None:
    twin, large = pair
    scales = Scales.between(twin_preset(LARGE), LARGE)
    found = agree(twin, large, scales)
    tables = 3  # with a row for each token
    assert found.nodes == len(list(large.model.graph))
    assert found.weights == len({id(view.tensor) for view in large.views.values()}) - tables
    assert found.scaled > 10
    with pytest.raises(TwinError, match="the constant"):
        agree(twin, large, Scales.between(LARGE, LARGE))
    policy = structure(_graphs(twin_preset(LARGE))[1])
    with pytest.raises(TwinError, match="its twin 19|its twin"):
        agree(policy, large, scales)


def test_every_kind_of_difference_is_found(pair: tuple[Traced, Traced]) -> None:
    twin, large = pair
    scales = Scales.between(twin_preset(LARGE), LARGE)
    nodes = list(large.model.graph)

    def differs(words: str) -> None:
        with pytest.raises(TwinError, match=words):
            agree(twin, large, scales)

    softmax = next(node for node in nodes if node.op_type == "Softmax")
    axis = softmax.attributes["axis"]
    softmax.attributes["axis"] = ir.AttrInt64("axis", 1)
    differs("Softmax: {'axis': 1}")
    softmax.attributes["axis"] = axis

    products = [node for node in nodes if node.op_type == "MatMul" and (node.inputs[1].name or "") in large.views]
    one, other = products[1].inputs[1], products[2].inputs[1]
    products[1].replace_input_with(1, other)
    differs("reads the weight transformer.transformer_blocks.0.attn1.to_k.weight, its twin's .*to_q.weight")
    products[1].replace_input_with(1, one)

    add = next(node for node in nodes if node.op_type == "Sub")
    first, second = add.inputs
    add.replace_input_with(0, second)
    add.replace_input_with(1, first)
    differs("its twin's")
    add.replace_input_with(0, first)
    add.replace_input_with(1, second)

    constants = [value for value in large.model.graph.initializers.values() if value.const_value is not None]
    scale = next(v for v in constants if v.dtype == ir.DataType.FLOAT and v.uses())
    kept = scale.const_value
    scale.const_value = ir.tensor(kept.numpy() * np.float32(1.001), name=scale.name)
    differs("the constant")
    scale.const_value = kept

    sizes = next(v for v in constants if v.dtype == ir.DataType.INT64 and v.uses() and v.const_value.size > 3)
    kept = sizes.const_value
    sizes.const_value = ir.tensor(kept.numpy() * 7, name=sizes.name)
    differs("the constant")
    sizes.const_value = kept
    agree(twin, large, scales)


@pytest.mark.parametrize(
    ("small", "large", "fits"),
    [
        (4, 60, True),
        (10, 90, True),
        (40, 5400, True),
        (48, 48, True),
        (226 + 130, 226 + 130 * 135, True),
        (33, 481, True),
        (81, 721, True),
        (2, 16, False),
        (34, 496, False),
        (4, 61, False),
        (4, 90, False),
        (10, 60, False),
        (226, 3391, False),
        (0, 15, False),
        (-1, -15, False),
    ],
)
def test_integers_may_be_larger_as_the_picture_is(small: int, large: int, fits: bool) -> None:
    published = load_preset("videoscene-5b")
    twin = twin_preset(published)
    assert (twin.height, twin.width, twin.frames) == (32, 80, 49), "15 times lower, 9 times narrower"
    assert Scales.between(twin, published).allow(small, large) == fits


def test_the_blocks_are_left_out_and_nothing_else(exported: Exported) -> None:
    model = onnx.load(exported.path, load_external_data=False)
    whole = {node.name for node in model.graph.node}
    ends = without_blocks(model)
    left = {node.name for node in ends.graph.node}
    assert left < whole
    assert not any(".attn1" in name or ".ff." in name for name in left)
    assert sum(name.startswith("transformer.patch_embed") for name in left) == sum(
        name.startswith("transformer.patch_embed") for name in whole
    )
    assert prove_ends(exported.source, exported.path) == exported.parity.parts["without its blocks, at 17×64×128"]
    with pytest.raises(EndsError, match="0 tensors go through"):
        without_blocks(ends)


def test_how_a_bundle_is_proved_follows_from_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "free_memory", lambda: 24 << 30)
    assert memory_of_whole_proof(load_preset("videoscene-5b")) > 80 << 30
    assert [proved_whole(load_preset(name)) for name in ("tiny", "edge", "videoscene-5b")] == [True, True, False]
    monkeypatch.setattr(needs, "free_memory", lambda: 1 << 30)
    assert [proved_whole(load_preset(name)) for name in ("tiny", "edge")] == [True, False]
    monkeypatch.setattr(needs, "free_memory", lambda: None)
    assert proved_whole(load_preset("edge"))


def test_a_disk_without_room_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 3 << 30

    monkeypatch.setattr(needs.shutil, "disk_usage", lambda path: Usage)
    request = ExportRequest(load_preset("videoscene-5b"), tmp_path / "a.bundle", seed_dtype="bfloat16")
    with pytest.raises(BackendError, match=r"the bundle takes 10\.9 GiB and .* has 3\.0 GiB free") as caught:
        export_bundle(request)
    assert "--out" in (caught.value.remedy or "")
    assert list(tmp_path.iterdir()) == []
