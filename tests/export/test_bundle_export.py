"""The whole export: what a bundle records, and that a failed one leaves nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.external_data_helper import uses_external_data

from tests.export.test_checkpoint import write_checkpoint
from tests.support.presets import SMALL
from tests.support.scenes import scene
from videoscene_rt import BackendError, InputError, Pipeline
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.specs import GraphSpec
from videoscene_rt.export import bundle_export, proof
from videoscene_rt.export.bundle_export import ExportRequest, export_bundle
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.parity import ParityError
from videoscene_rt.export.presets import load_preset, preset_names


@pytest.mark.parametrize("name", ["small_bundle", "published_bundle"])
def test_every_figure_is_within_its_limit_and_every_graph_has_one(request: pytest.FixtureRequest, name: str) -> None:
    manifest = Bundle.open(request.getfixturevalue(name)).manifest
    for graph in manifest.graphs.values():
        assert set(graph.parity.relative_l2) == {spec.name for spec in graph.outputs}
        assert max(graph.parity.relative_l2.values()) <= graph.parity.limit <= 1e-4
    assert manifest.graphs["renderer"].parity.limit == 0
    assert set(manifest.chain_parity.relative_l2) == {"z_r", "condition", "z_0", "frames"}
    assert max(manifest.chain_parity.relative_l2.values()) <= 1e-4


def test_the_graphs_of_each_autoencoder(small_bundle: Path, published_bundle: Path) -> None:
    common = {"renderer", "policy", "student", "encode_images"}
    assert set(Bundle.open(small_bundle).manifest.graphs) == common | {
        "encode_clip", "encode_stream", "decode_clip", "decode_stream",
    }  # fmt: skip
    assert set(Bundle.open(published_bundle).manifest.graphs) == common | {
        "encode_first", "encode_next", "decode_first", "decode_next",
    }  # fmt: skip


def test_there_are_no_64_bit_integers_at_a_graphs_border(small_bundle: Path) -> None:
    for path in small_bundle.glob("*.onnx"):
        graph = onnx.load(path, load_external_data=False).graph
        types = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
        assert types <= {onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8, onnx.TensorProto.INT32}, path.name
        for value in (*graph.input, *graph.output):
            assert all(dim.dim_value > 0 for dim in value.type.tensor_type.shape.dim), (path.name, value.name)


def test_weights_lie_in_shared_files_of_the_bundle(small_bundle: Path) -> None:
    locations = set()
    for path in small_bundle.glob("*.onnx"):
        for tensor in onnx.load(path, load_external_data=False).graph.initializer:
            if uses_external_data(tensor):
                locations |= {entry.value for entry in tensor.external_data if entry.key == "location"}
            else:
                assert len(tensor.raw_data) < 1024, (path.name, tensor.name)
    assert locations <= {path.name for path in small_bundle.glob("weights_*.bin")}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bundle(small_bundle: Path, tmp_path: Path) -> None:
    export_bundle(ExportRequest(SMALL, tmp_path / "again.bundle", command="another"))
    assert Bundle.open(tmp_path / "again.bundle").digest == Bundle.open(small_bundle).digest


@pytest.mark.slow
def test_a_checkpoint_becomes_a_bundle_in_its_dtype(small_bundle: Path, tmp_path: Path) -> None:
    """The whole way with bfloat16 weights: stored narrow, computed in float32, and the result is the checkpoint's."""
    write_checkpoint(tmp_path / "checkpoint", SMALL, seed=0, dtype=torch.bfloat16)
    request = ExportRequest(SMALL, tmp_path / "c.bundle", tmp_path / "checkpoint")
    provenance = export_bundle(request).provenance
    assert provenance.weights == "checkpoint"
    assert provenance.checkpoint_sha256 is not None
    assert provenance.weights_dtype == {"student": "bfloat16", "autoencoder": "bfloat16", "policy": "bfloat16"}
    wide = (small_bundle / "weights_student.bin").stat().st_size
    assert (tmp_path / "c.bundle" / "weights_student.bin").stat().st_size < 0.65 * wide
    with Pipeline.load(small_bundle, timestep=459) as one, Pipeline.load(tmp_path / "c.bundle", timestep=459) as two:
        exact, rounded = one.step(scene()).frames.astype(float), two.step(scene()).frames.astype(float)
    assert 0 < np.linalg.norm(exact - rounded) / np.linalg.norm(exact) < 0.05  # bfloat16's weights, not other ones


def test_a_failed_proof_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise ParityError("graph renderer: off")

    monkeypatch.setattr(proof, "prove", wrong)
    with pytest.raises(ParityError):
        export_bundle(ExportRequest(SMALL, tmp_path / "a.bundle"))
    assert list(tmp_path.iterdir()) == []


def test_a_constant_timestep_must_be_a_candidate(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no candidate"):
        export_bundle(ExportRequest(SMALL, tmp_path / "a.bundle", constant_timestep=123))
    assert list(tmp_path.iterdir()) == []


def test_a_student_too_large_for_the_memory_is_refused_with_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videoscene_rt.export.needs.free_memory", lambda: 24 * 2**30)
    with pytest.raises(
        BackendError, match=r"5\.6 billion parameters; proving it whole takes about 83 GiB .* 24 GiB are free"
    ):
        export_bundle(ExportRequest(load_preset("videoscene-5b"), tmp_path / "a.bundle", proof="whole"))
    assert list(tmp_path.iterdir()) == []


def test_the_presets_are_the_designs() -> None:
    assert preset_names() == ("edge", "tiny", "videoscene-5b")
    sizes = {name: load_preset(name) for name in preset_names()}
    assert {
        name: (p.frames, p.height, p.width, p.latent_shape[1:2] + p.latent_shape[3:]) for name, p in sizes.items()
    } == {
        "tiny": (9, 128, 192, (3, 16, 24)),
        "edge": (17, 256, 256, (5, 32, 32)),
        "videoscene-5b": (49, 480, 720, (13, 60, 90)),
    }
    assert sizes["videoscene-5b"].policy.timesteps[:2] == (399, 419)
    assert 459 in sizes["videoscene-5b"].policy.timesteps
    assert 549 in sizes["videoscene-5b"].policy.timesteps


def test_a_preset_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(SMALL.model_dump_json())
    assert load_preset(str(path)) == SMALL
    path.write_text(SMALL.model_dump_json().replace('"frames":9', '"frames":12'))
    with pytest.raises(InputError, match=r"frames must be 8k\+1"):
        load_preset(str(path))
    with pytest.raises(InputError, match="cannot be read"):
        load_preset(str(tmp_path / "none.json"))
    with pytest.raises(InputError, match="no preset 'huge'"):
        load_preset("huge")


def test_progress_reaches_its_end(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told of each graph once, in order, up to the total."""
    told: list[tuple[str, int, int]] = []
    graphs = Bundle.open(small_bundle).manifest.graphs

    def export(source: GraphSource, folder: Path, *_: object) -> GraphSpec:
        shutil.copy(small_bundle / f"{source.name}.onnx", folder)
        return graphs[source.name]

    monkeypatch.setattr(bundle_export, "_export_graph", export)
    monkeypatch.setattr(proof, "prove_chains", lambda *arguments: Bundle.open(small_bundle).manifest.chain_parity)
    export_bundle(ExportRequest(SMALL, tmp_path / "a.bundle"), lambda *step: told.append(step))
    assert [done for _, done, _ in told] == [0, *range(10)]
    assert told[-1][1] == told[-1][2] == 9
