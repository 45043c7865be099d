"""The whole step measured on the CPU: by the chain, and by torch; the two are held to be the same work."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from videoscene_rt import Pipeline
from videoscene_rt.bench.chain_bench import ChainRequest, measure_chain
from videoscene_rt.bench.chain_scene import sources, whole_buffers
from videoscene_rt.bench.compare import ratio
from videoscene_rt.bench.record import Record, read_record
from videoscene_rt.bench.torch_step import StepRequest, measure_step
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import InputError

QUICK: dict[str, Any] = {"warmup_iterations": 1, "warmup_s": 0, "iterations": 8, "seconds": 0}
WAYS = {"scene", "device", "page-locked"}


@pytest.fixture(scope="module")
def chain(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    out = tmp_path_factory.mktemp("chain")
    told: dict[str, Any] = {"bundle": small_bundle, "out": out, "settings": QUICK, "threads": 1}
    result = measure_chain(ChainRequest(**told, timeline_repeats=2, keep_samples=True))
    # The CPU captures nothing, so that the second mode would be the first once more.
    assert list(result["records"]) == ["chain-enqueue"]
    return read_record(result["records"]["chain-enqueue"])


def test_a_form_that_the_device_does_not_take_is_a_failure_and_no_record(small_bundle: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {"bundle": small_bundle, "out": tmp_path, "settings": QUICK, "threads": 1, "full": False}
    result = measure_chain(ChainRequest(**told, modes=("device-launch",), timeline_repeats=1))
    assert result == {"records": {}, "failures": {"device-launch": "this device captures nothing"}}
    assert not list(tmp_path.iterdir())


def test_every_series_has_every_step(chain: Record) -> None:
    assert set(chain.statistics) == {
        "host", "enqueue", *(f"step.{way}" for way in WAYS), "step.scene.to-host", "submit.scene", "submit.device",
    }  # fmt: skip
    assert {found.count for found in chain.statistics.values()} == {8}
    assert chain.samples_us is not None
    assert {len(samples) for samples in chain.samples_us.values()} == {8}
    assert chain.gpu is chain.gpu_before is None


def test_the_facts_are_the_pipelines(chain: Record, small_bundle: Path) -> None:
    facts = chain.chain
    assert facts is not None
    preset = Bundle.open(small_bundle).manifest.preset
    scene = sources(preset)[0].load()
    with Pipeline.load(small_bundle, threads=1, streaming=False) as pipeline:
        result = pipeline.step(scene)
        for name, digest in facts.digests.items():
            assert hashlib.sha256(getattr(result, name).tobytes()).hexdigest() == digest
        assert facts.timestep == result.timestep
        assert {span.stage for span in facts.stages} == {placed.stage for placed in pipeline.schedule.placed}
        assert (facts.arena_bytes, len(facts.arena)) == (pipeline.memory.nbytes, len(pipeline.memory.regions))
    assert facts.num_points == scene.num_points
    assert facts.overlap is not None
    assert facts.overlap.at_once_ms == 0, "the CPU runs one stage after the other"
    assert set(facts.uploaded_bytes) == WAYS
    assert facts.growth is not None
    assert facts.growth.steps == 8
    assert {flow.in_flight for flow in facts.throughput.values()} == {2}
    assert facts.p99_over_p50 == {}, "too few steps for a p99"


def test_torch_does_the_same_work(chain: Record, small_bundle: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {"bundle": small_bundle, "out": tmp_path, "settings": QUICK, "threads": 1, "device": "cpu"}
    result = measure_step(StepRequest(**told, precision="fp32"))
    torch = read_record(result["records"]["chain"])
    assert set(torch.output_rms) == set(chain.output_rms)
    for name, value in chain.output_rms.items():
        assert torch.output_rms[name] == pytest.approx(value, rel=1e-4)
    for name in ("coarse", "depth", "hole_mask"):
        assert torch.output_rms[name] == chain.output_rms[name], "the renderer is exact"
    assert ratio(torch, chain).doubt == ""
    assert torch.notes[0] == "in half precision: nothing"
    assert any("not the kernel" in note for note in torch.notes)


def test_torch_runs_in_half_what_the_recipe_runs_in_half(chain: Record, small_bundle: Path, tmp_path: Path) -> None:
    once = {**QUICK, "iterations": 1, "warmup_iterations": 0}
    told: dict[str, Any] = {"bundle": small_bundle, "out": tmp_path, "settings": once, "threads": 1, "device": "cpu"}
    result = measure_step(StepRequest(**told, precision="int8"))
    torch = read_record(result["records"]["chain"])
    assert torch.identity.precision == "fp16"
    assert torch.notes[0] == "in half precision: decode_clip, encode_clip, encode_images, student"
    assert torch.output_rms["z_0"] == pytest.approx(chain.output_rms["z_0"], rel=0.01)
    assert torch.output_rms["z_0"] != chain.output_rms["z_0"]


def test_another_autoencoder_is_refused(published_bundle: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {"bundle": published_bundle, "out": tmp_path, "device": "cpu", "threads": 1}
    with pytest.raises(InputError, match="written for the tiny autoencoder"):
        measure_step(StepRequest(**told, precision="fp32"))


def test_wrong_requests_to_torch(small_bundle: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {"bundle": small_bundle, "out": tmp_path, "device": "cpu"}
    with pytest.raises(InputError, match="the kernels run on a GPU"):
        measure_step(StepRequest(**told, kernels=tmp_path / "kernels.so"))
    with pytest.raises(InputError, match="no precision 'bf16'"):
        measure_step(StepRequest(**told, precision="bf16"))


def test_a_brief_measurement(small_bundle: Path, tmp_path: Path) -> None:
    told: dict[str, Any] = {"bundle": small_bundle, "out": tmp_path, "settings": QUICK, "threads": 1, "full": False}
    result = measure_chain(ChainRequest(**told, timeline_repeats=1))
    record = read_record(result["records"]["chain-enqueue"])
    assert set(record.statistics) == {"host", "enqueue", "step.device"}
    assert record.chain is not None
    assert record.chain.growth is None


def test_graphs_are_not_for_this_program(small_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes no graphs"):
        measure_chain(ChainRequest(bundle=small_bundle, out=tmp_path, graphs=("policy",)))


def test_buffers_are_whole_and_zero_behind_the_cloud(small_bundle: Path) -> None:
    preset = Bundle.open(small_bundle).manifest.preset
    scene = sources(preset)[0].load().thinned(100)
    buffers = whole_buffers(scene, preset)
    assert buffers["xyz"].shape == buffers["rgb"].shape == (preset.max_points, 3)
    assert buffers["num_points"][0] == 100
    assert not buffers["xyz"][100:].any()
    assert (buffers["xyz"][:100] == scene.xyz).all()


def test_measuring_a_chain_needs_no_torch(small_bundle: Path, tmp_path: Path) -> None:
    """The interpreter with TensorRT may have none, and no video library."""
    request = tmp_path / "request.json"
    once = {**QUICK, "iterations": 1}
    told = {"bundle": str(small_bundle), "out": str(tmp_path), "settings": once, "timeline_repeats": 1, "threads": 1}
    request.write_text(json.dumps(told))
    code = (
        "import sys; from videoscene_rt.bench.request import main\n"
        "from videoscene_rt.bench.chain_bench import ChainRequest, measure_chain\n"
        "import videoscene_rt.bench.equality, videoscene_rt.bench.chain_table\n"
        "code = main(ChainRequest, measure_chain, sys.argv[1:])\n"
        "assert not {'torch', 'onnx', 'diffusers', 'av', 'typer', 'cuda'} & set(sys.modules); sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", code, str(request)], check=True, capture_output=True)
