"""The measuring programs on the CPU: each writes records that are what they say, or says why not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from videoscene_rt.bench.compare import ratio
from videoscene_rt.bench.engine_bench import EngineRequest, measure_engines
from videoscene_rt.bench.ort_cuda import OrtBaseline, OrtRequest, measure_ort
from videoscene_rt.bench.record import Record, read_record
from videoscene_rt.bench.request import main, read_request
from videoscene_rt.bench.torch_baseline import TorchRequest, graph_sources, measure_torch
from videoscene_rt.bench.warm_start import WarmStartRequest, measure_warm_start
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.onnxruntime_cuda_session import Provider

QUICK: dict[str, Any] = {"warmup_iterations": 1, "warmup_s": 0, "iterations": 9, "seconds": 0}


def records(result: dict[str, Any]) -> dict[str, Record]:
    assert result["failures"] == {}
    return {graph: read_record(path) for graph, path in result["records"].items()}


def test_every_engine_of_a_bundle_and_the_same_in_torch(small_bundle: Path, tmp_path: Path) -> None:
    """Same weights, same inputs: the outputs' RMS agree, so the two ran the same thing."""
    told: dict[str, Any] = {"bundle": small_bundle, "out": tmp_path, "settings": QUICK, "threads": 1}
    ours = records(measure_engines(EngineRequest(**told)))
    torch = records(measure_torch(TorchRequest(**told, device="cpu")))
    half = records(measure_torch(TorchRequest(**told, device="cpu", precision="bf16")))
    assert set(ours) == set(torch) == set(half) == set(Bundle.open(small_bundle).manifest.graphs)
    for graph, record in ours.items():
        assert record.statistics["host"].count == 9
        assert record.statistics["host"].p90 is None
        assert record.identity.bundle_sha256 == Bundle.open(small_bundle).digest
        assert record.identity.engine.startswith("graph:")
        assert torch[graph].identity.engine == "baseline:torch-eager"
        for name, value in record.output_rms.items():
            assert torch[graph].output_rms[name] == pytest.approx(value, rel=1e-4)
            if name not in ("timestep", "logits"):
                assert half[graph].output_rms[name] == pytest.approx(value, rel=0.05)
        assert ratio(torch[graph], record).value > 0
    assert half["student"].identity.precision == "bf16"
    assert half["renderer"].identity.precision == "fp32"


def test_the_published_autoencoder_in_half_precision(published_bundle: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {
        "bundle": published_bundle,
        "out": tmp_path,
        "settings": {**QUICK, "iterations": 1},
        "threads": 1,
    }
    graphs = ("policy", "encode_images", "encode_next", "decode_next")
    ours = records(measure_engines(EngineRequest(**told, graphs=graphs)))
    half = records(measure_torch(TorchRequest(**told, graphs=graphs, device="cpu", precision="bf16")))
    for graph, record in ours.items():
        for name in record.output_rms:
            if name not in ("timestep", "logits"):
                assert half[graph].output_rms[name] == pytest.approx(record.output_rms[name], rel=0.05)


def test_onnx_runtime_over_its_own_memory(small_bundle: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {
        "bundle": small_bundle,
        "out": tmp_path,
        "settings": QUICK,
        "graphs": ("policy", "decode_stream"),
    }
    found = records(measure_ort(OrtRequest(**told, provider="cpu")))
    reference = records(measure_engines(EngineRequest(**{**told, "out": tmp_path / "other"})))
    for graph, record in found.items():
        assert record.identity.engine == "baseline:onnxruntime-cpu:exported"
        assert record.identity.runner == "onnxruntime-cpu fp32 enqueue"
        assert record.output_rms == pytest.approx(reference[graph].output_rms, rel=1e-6)


def test_a_provider_that_is_not_there_is_the_callers_error(small_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"bundle": str(small_bundle), "out": str(tmp_path), "provider": "rocm"}))
    with pytest.raises(InputError, match="provider: Input should be 'cuda' or 'cpu'"):
        read_request(str(path), OrtRequest)


def test_what_the_provider_cannot_run_goes_to_the_cpu_and_a_note_says_so(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Azure's provider is in every CPU build and has no kernels at all."""
    monkeypatch.setattr("videoscene_rt.engines.onnxruntime_cuda_session._check_started", lambda ort, provider: None)
    baseline = OrtBaseline("cpu")
    monkeypatch.setattr(baseline, "_provider", Provider("AzureExecutionProvider", "cpu"))
    engine = baseline.load(Bundle.open(small_bundle), "policy")
    (note,) = baseline.notes["policy"]
    assert note.startswith("some of its nodes ran on the CPU: the CUDA provider has no kernel for them: ")
    assert engine.spec.name == "policy"


def test_a_warm_start_is_a_process_of_its_own(small_bundle: Path, tmp_path: Path) -> None:
    result = measure_warm_start(WarmStartRequest(bundle=small_bundle, out=tmp_path, runs=2))
    record = records(result)["all"]
    assert record.statistics["process"].count == record.statistics["load"].count == 2
    assert record.statistics["load"].max < record.statistics["process"].min
    assert record.identity.mode == "warm-start"
    parts = result["parts_ms"]
    assert set(parts) == {"verify", *Bundle.open(small_bundle).manifest.graphs}
    assert sum(parts.values()) <= record.statistics["load"].max * 1.01


def test_a_warm_start_that_fails_says_why(small_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="could not be loaded: .*nonesuch"):
        measure_warm_start(WarmStartRequest(bundle=small_bundle, out=tmp_path, runs=1, backend="nonesuch"))


def test_weights_of_another_checkpoint_are_refused(small_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the bundle's weights are of checkpoint None"):
        graph_sources(Bundle.open(small_bundle), tmp_path)


def test_a_graph_that_fails_does_not_keep_the_others(
    small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CUDA graph cannot be captured on the CPU: exit code 3, one line a graph."""
    request = tmp_path / "request.json"
    told = {
        "bundle": str(small_bundle),
        "out": str(tmp_path),
        "graphs": ["policy", "student"],
        "mode": "cuda-graph",
        "settings": QUICK,
    }
    request.write_text(json.dumps(told))
    assert main(EngineRequest, measure_engines, [str(request)]) == 3
    streams = capsys.readouterr()
    assert set(json.loads(streams.out)["failures"]) == {"policy", "student"}
    assert [line.split(": ")[:2] for line in streams.err.splitlines()] == [["error", "policy"], ["error", "student"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "the request"),
        ('{"bundle": "none.bundle", "out": "x"}', "there is no such folder"),
        ('{"bundle": "b", "out": "o", "speed": 1}', "speed"),
        ('{"bundle": "b", "out": "o", "settings": {"iterations": 0}}', "settings.iterations"),
    ],
)
def test_a_wrong_request_is_a_line_and_exit_code_2(
    tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    request = tmp_path / "request.json"
    request.write_text(text)
    assert main(EngineRequest, measure_engines, [str(request)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def test_measuring_an_engine_needs_no_torch(small_bundle: Path, tmp_path: Path) -> None:
    """The interpreter with TensorRT may have none."""
    request = tmp_path / "request.json"
    request.write_text(
        json.dumps({"bundle": str(small_bundle), "out": str(tmp_path), "graphs": ["policy"], "settings": QUICK})
    )
    code = (
        "import sys; from videoscene_rt.bench.request import main\n"
        "from videoscene_rt.bench.engine_bench import EngineRequest, measure_engines\n"
        "code = main(EngineRequest, measure_engines, sys.argv[1:])\n"
        "assert not {'torch', 'onnx', 'diffusers', 'av', 'typer'} & set(sys.modules); sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", code, str(request)], check=True, capture_output=True)
