"""The published stages as engines: both halves on a miniature, with ONNX Runtime's CPU provider in a GPU's place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from pydantic import ValidationError

from tests.bench.published.test_published import MINI, ONCE, PRESET
from videoscene_rt.bench.published.engines.calls import Calls, calls_of
from videoscene_rt.bench.published.engines.deriving import derive_graph
from videoscene_rt.bench.published.engines.exporting import export_items
from videoscene_rt.bench.published.engines.handed import BLOCKS_FILE, STAGE_FILE, Handed, read_tensors
from videoscene_rt.bench.published.engines.item import Item
from videoscene_rt.bench.published.engines.request import EnginesRequest, ExportRequest
from videoscene_rt.bench.published.engines.running import Bound, relative_l2
from videoscene_rt.bench.published.engines.session import run_engines
from videoscene_rt.bench.published.finding import Finding
from videoscene_rt.bench.published.whole_step import step_sums
from videoscene_rt.bench.record import read_record
from videoscene_rt.engines.chunking import latent_chunks
from videoscene_rt.engines.specs import GraphSpec, Parity, TensorSpec
from videoscene_rt.engines.tensorrt.request import BuilderError

SHARED = {"stage": "student", "blocks": 2, "form": "shared-block"}
STREAM = {"stage": "tiny_decode", "form": "stream"}
POLICY = {"stage": "policy"}
LARGE = [{"stage": stage} for stage in ("decode", "encode_coarse", "encode_images", "tiny_decode")]
LARGE += [{"stage": stage} for stage in ("tiny_encode_coarse", "tiny_encode_images")]


def export(folder: Path, items: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    preset = folder / "mini.json"
    preset.write_text(json.dumps(MINI))
    asked = {"folder": str(folder / "handed"), "preset": str(preset), "device": "cpu", "items": items, **more}
    return export_items(ExportRequest.model_validate(asked))


def engines(folder: Path, items: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    given = {"folder": str(folder / "handed"), "out": str(folder / "out"), "device": "cpu", "items": items}
    asked = {**given, "runtimes": ["onnxruntime-cuda"], "settings": ONCE, **more}
    return run_engines(EnginesRequest.model_validate(asked))


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    assert export(folder, [SHARED, STREAM, POLICY])["failures"] == {}
    return folder


def rows(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    findings = json.loads((folder / "out" / "summary.json").read_text())["findings"]
    return {(one["stage"], one["mode"]): one for one in findings}


def test_what_torch_wrote_runs_and_agrees(handed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enqueued: list[tuple[int, int | None]] = []
    enqueue = Bound.enqueue

    def noted(bound: Bound, calls: int | None = None) -> None:
        enqueued.append((len(bound.contexts), calls))
        enqueue(bound, calls)

    monkeypatch.setattr(Bound, "enqueue", noted)
    result = engines(handed, [SHARED, STREAM, POLICY])
    assert result["failures"] == {}
    found = rows(handed)
    block, stream = found["student", "onnxruntime-cuda-parts"], found["tiny_decode", "onnxruntime-cuda-parts"]
    assert 0 < block["relative_l2"]["z_0"] < 2e-3
    assert stream["relative_l2"]["frames"] < 1e-2
    assert found["policy", "onnxruntime-cuda"]["relative_l2"]["logits"] < 1e-5
    assert "policy in fp32" in found["policy", "onnxruntime-cuda"]["notes"]
    assert min(stream["first_ms"], stream["ms"]) > 0
    latents = (MINI["frames"] - 1) // 4 + 1
    assert {given for given in enqueued if given[1] is not None} == {(latents, 1)}, (
        "first frames: one call of the stream's"
    )
    assert block["floor_ms"] > 0
    record = read_record(result["records"]["student-2-blocks-shared-block onnxruntime-cuda"])
    assert record.identity.backend == "onnxruntime-cpu"
    assert record.output_rms["z_0"] is not None
    assert any("4 calls of student_head, student_block, student_tail" in note for note in record.notes)


def test_each_block_has_weights_of_its_own(handed: Path, tmp_path: Path) -> None:
    source = handed / "handed" / "student-2-blocks-shared-block"
    stage = Handed.read(source)
    data = np.fromfile(source / BLOCKS_FILE, np.uint8)
    assert data.size == 2 * stage.block_bytes
    assert not np.array_equal(data[: stage.block_bytes], data[stage.block_bytes :])
    assert {one.name.split(".")[1] for one in stage.block_weights} == {"transformer_blocks"}
    copy = tmp_path / "handed" / source.name
    copy.mkdir(parents=True)
    for path in source.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    (copy / BLOCKS_FILE).write_bytes(np.tile(data[: stage.block_bytes], 2).tobytes())
    assert engines(tmp_path, [SHARED])["failures"] == {}
    assert rows(tmp_path)["student", "onnxruntime-cuda-parts"]["relative_l2"]["z_0"] > 1e-2


def test_made_engines_are_used_again_and_measuring_makes_none(handed: Path, tmp_path: Path) -> None:
    first = engines(handed, [POLICY], do=["make"])
    again = engines(handed, [POLICY], do=["make"])
    assert first["made"] == again["made"]
    traced = engines(handed, [POLICY], do=["measure"], rewrites=False, out=str(tmp_path))
    assert "no engine of it was made" in traced["failures"]["measure policy onnxruntime-cuda"]
    assert "policy fp16 onnxruntime-cuda: policy: no engine" in (tmp_path / "summary.md").read_text()
    with pytest.raises(ValidationError):
        Item.model_validate({"stage": "decode", "form": "stream"})
    missing = engines(handed, [{"stage": "decode"}], wait_s=0.1)
    assert "holds no stage" in missing["failures"]["make decode onnxruntime-cuda"]


def test_a_refusal_is_noted_and_not_tried_again(handed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    tried = []

    def refuse(*_: object) -> None:
        tried.append(1)
        raise BuilderError("cannot build it: a tensor has over 2^31 elements")

    monkeypatch.setattr("videoscene_rt.bench.published.engines.making.build_plan", refuse)
    options = {"runtimes": ["tensorrt"], "out": str(tmp_path), "level": 1}
    result = engines(handed, [POLICY], **options)
    assert "over 2^31" in result["failures"]["make policy tensorrt"]
    assert "over 2^31" in result["failures"]["measure policy tensorrt"]
    engines(handed, [POLICY], **options)
    assert len(tried) == 1
    engines(handed, [POLICY], again=True, **options)
    assert len(tried) == 2


def test_the_engines_half_needs_no_torch(handed: Path, tmp_path: Path) -> None:
    asked = {"folder": str(handed / "handed"), "out": str(tmp_path), "device": "cpu", "items": [POLICY]}
    path = tmp_path / "request.json"
    path.write_text(json.dumps({**asked, "runtimes": ["onnxruntime-cuda"], "settings": ONCE}))
    program = (
        "import sys; sys.modules['torch'] = sys.modules['diffusers'] = None; "
        "from videoscene_rt.bench.request import main; "
        "from videoscene_rt.bench.published.engines.request import EnginesRequest; "
        "from videoscene_rt.bench.published.engines.session import run_engines; "
        "sys.exit(main(EnginesRequest, run_engines, sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["failures"] == {}


def test_one_that_cannot_be_written_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    result = export_items(
        ExportRequest.model_validate(
            {"folder": str(tmp_path / "h"), "preset": "tiny", "device": "cpu", "items": [{"stage": "decode"}]}
        )
    )
    assert "has no published autoencoder" in result["failures"]["decode"]
    assert list((tmp_path / "h").iterdir()) == []


@pytest.mark.slow
def test_every_stage_of_a_miniature(tmp_path: Path) -> None:
    items = [*LARGE, {"stage": "student", "blocks": 2}]
    assert export(tmp_path, items)["failures"] == {}
    for item in items:
        given, wanted = read_tensors(tmp_path / "handed" / Item.model_validate(item).name)
        assert given
        assert wanted
    result = engines(tmp_path, items, runtimes=["onnxruntime-cuda", "tensorrt"])
    assert result["failures"] == {}
    for row in rows(tmp_path).values():
        assert row["relative_l2"], row
        assert max(row["relative_l2"].values()) < 1e-2, row
    assert rows(tmp_path)["decode", "tensorrt"]["first_ms"] > 0


def chunk_specs(half: str) -> dict[str, GraphSpec]:
    latent, video = "latent", "frames"
    parity = Parity(reference="", relative_l2={}, max_abs={}, limit=0)

    def tensors(*names: str) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name=name, dtype="float32", shape=(2,), meaning="") for name in names)

    noise = () if half == "decode" else ("posterior_noise",)
    first, last = (latent, video) if half == "decode" else (video, latent)
    cache, following = ("cache_00", "cache_01"), ("next_cache_00", "next_cache_01")
    reads = {f"{half}_first": (), f"{half}_next": cache}
    return {
        name: GraphSpec(
            name=name,
            file="",
            opset=18,
            inputs=tensors(first, *noise, *taken),
            outputs=tensors(last, *following),
            parity=parity,
        )
        for name, taken in reads.items()
    }


@pytest.mark.parametrize("half", ["decode", "encode"])
def test_chunks_read_what_the_one_before_wrote(half: str) -> None:
    item = Item(stage="decode" if half == "decode" else "encode_coarse")
    calls = calls_of(item, PRESET, chunk_specs(half))
    assert [call.graph for call in calls.calls] == [f"{half}_first", f"{half}_next"]
    _check_states(calls, "cache_")
    spans = [call.places["latent"].index[1] for call in calls.calls]
    assert [(one.start, one.stop) for one in spans] == latent_chunks(PRESET.latent_frames)
    assert calls.first == (1 if half == "decode" else None)


def _check_states(calls: Calls, prefix: str) -> None:
    written: dict[str, int] = {}
    for number, call in enumerate(calls.calls):
        read = {name: place.buffer for name, place in call.places.items() if name.startswith(prefix)}
        write = {name: place.buffer for name, place in call.places.items() if name.startswith(f"next_{prefix}")}
        assert set(read.values()).isdisjoint(write.values())
        assert all(written[buffer] == number - 1 for buffer in read.values())
        assert all(calls.buffers[buffer] for buffer in (*read.values(), *write.values()))
        written.update(dict.fromkeys(write.values(), number))


def test_relative_l2_against_numpy() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    found = relative_l2({"a": one, "t": np.zeros(1, np.int32)}, {"a": other, "t": np.ones(1, np.int32)})
    assert found == {"a": pytest.approx(float(np.linalg.norm(one - other) / np.linalg.norm(other)), rel=1e-6)}


def test_the_step_of_engines_is_a_sum_of_its_own() -> None:
    def finding(stage: Any, mode: Any, ms: float, blocks: int | None = None, dtype: Any = "fp16") -> Finding:
        return Finding(stage=stage, mode=mode, dtype=dtype, ms=ms, blocks=blocks)

    found = [
        finding("render", "kernel-eager", 1.0, dtype="fp32"),
        *(finding(stage, "tensorrt", 10.0) for stage in ("encode_coarse", "encode_images", "policy", "decode")),
        finding("student", "tensorrt", 800.0, 42),
        finding("student", "tensorrt-shared-block", 900.0, 42),
        finding("student", "eager", 850.0, 42),
        finding("policy", "onnxruntime-cuda", 11.0),
    ]
    sums = {one.name: one for one in step_sums(found, 42) if one.autoencoder == "full"}
    assert sums["TensorRT"].ms == 941.0
    assert sums["the fastest of each stage"].ms == 841.0
    assert sums["ONNX Runtime CUDA"].missing == ("encode_coarse", "encode_images", "student", "decode")


def test_stage_json_comes_last(handed: Path) -> None:
    for folder in (handed / "handed").iterdir():
        if folder.is_dir():
            assert (folder / STAGE_FILE).exists(), folder


def test_for_tensorrt_8_6_the_block_has_the_plug_in_and_named_precisions(handed: Path, tmp_path: Path) -> None:
    folder = handed / "handed" / "student-2-blocks-shared-block"
    stage = Handed.read(folder)
    out = tmp_path / "student_block.onnx"
    derived = derive_graph(
        stage, folder, "student_block", out, runtime="tensorrt", weak=True, plugin=True, rewrites=True
    )
    assert derived.needs_plugin
    model = onnx.load(out, load_external_data=False)
    assert [node.op_type for node in model.graph.node].count("VideoSceneAttention") == 1
    assert not any(node.op_type == "Softmax" for node in model.graph.node)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 17
    assert set(derived.layer_precisions) <= {node.name for node in model.graph.node}
    assert set(derived.weights.values()) == {one.name for one in stage.block_weights}
    taken = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in model.graph.input}
    assert taken == {tensor.name: list(tensor.shape) for tensor in derived.spec.inputs}
    assert sum(tensor.nbytes for tensor in derived.spec.inputs if tensor.name in derived.weights) >= stage.block_bytes
    for graph in ("student_head", "student_tail"):
        other = derive_graph(
            stage, folder, graph, tmp_path / f"{graph}.onnx", runtime="tensorrt", weak=True, plugin=True, rewrites=True
        )
        assert not other.needs_plugin
        assert other.layer_precisions
        assert other.spec == stage.graphs[graph]
