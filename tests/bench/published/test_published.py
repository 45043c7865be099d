"""The published model measured by stages: a miniature on the CPU, what fails and what is late, and the tables."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from videoscene_rt.bench.published.alarm import TimeIsUp, within
from videoscene_rt.bench.published.attention_op import attention
from videoscene_rt.bench.published.cells import Cell, planned
from videoscene_rt.bench.published.extrapolation import extrapolated
from videoscene_rt.bench.published.finding import Finding
from videoscene_rt.bench.published.request import PublishedRequest
from videoscene_rt.bench.published.session import measure_published
from videoscene_rt.bench.published.stages import Counter
from videoscene_rt.bench.published.weights import Draw, made
from videoscene_rt.bench.published.whole_step import step_sums
from videoscene_rt.bench.record import read_record
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.preset import Preset

MINI: dict[str, Any] = {
    "name": "mini-published",
    "frames": 17,
    "height": 32,
    "width": 48,
    "max_points": 500,
    "student": {"blocks": 2, "heads": 2, "text_tokens": 3, "text_width": 8, "time_embed_dim": 16},
    "autoencoder": {
        "kind": "cogvideox",
        "block_out_channels": [8, 8, 8, 8],
        "layers_per_block": 1,
        "norm_num_groups": 4,
    },
    "tiny_autoencoder": {"encoder_width": 4, "decoder_widths": [8, 8, 4, 4]},
    "policy": {"candidates": [400, 460], "channels": [4, 4, 4]},
}
PRESET = Preset.model_validate(MINI)
SHORT = {"warmup_iterations": 0, "warmup_s": 0, "iterations": 2, "seconds": 0}
ONCE = {**SHORT, "iterations": 1}
NATIVE = Path(__file__).parents[3] / "engines" / "kernels" / "native"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    out = tmp_path_factory.mktemp("library") / "stand_in.so"
    source = Path(__file__).with_name("stand_in.c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", f"-I{NATIVE}", "-o", str(out), str(source), "-lm"], check=True)
    return out


def request_of(tmp_path: Path, **more: Any) -> PublishedRequest:
    preset = tmp_path / "mini.json"
    preset.write_text(json.dumps(MINI))
    given = {"preset": str(preset), "out": str(tmp_path / "out"), "device": "cpu", "settings": SHORT, **more}
    return PublishedRequest.model_validate(given)


@pytest.mark.slow
def test_all_stages_of_a_miniature(tmp_path: Path, library: Path) -> None:
    modes = ("eager", "own-eager", "kernel-eager")
    asked = request_of(tmp_path, dtypes=["bf16"], modes=modes, kernels=str(library), parity=True, settings=ONCE)
    result = measure_published(asked)
    assert result["failures"] == {}
    assert len(result["records"]) == len(planned(asked, PRESET)) == 9 + 5 + 2
    for path in result["records"].values():
        record = read_record(path)
        assert record.roofline is not None
        assert record.roofline.stages[0].precision == record.identity.precision
        assert all(rms is not None for rms in record.output_rms.values())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    rows = {(one["stage"], one["mode"]): one for one in summary["findings"]}
    for (stage, mode), row in rows.items():
        if mode == "own-eager" or (stage, mode) == ("student", "kernel-eager"):
            assert row["relative_l2"], stage
            assert all(value < 0.02 for value in row["relative_l2"].values()), (stage, row)
    assert rows["decode", "own-eager"]["first_ms"] > 0
    assert set(rows["student", "kernel-eager"]["turns_ms"]) == {"kernel", "sdpa"}
    (parity,) = summary["parity"]
    assert parity["blocks"] == 2
    assert all(parity["finite"].values())
    assert len(parity["relative_l2"]) == 5
    assert all(0 < value < 0.02 for value in parity["relative_l2"].values())
    assert all(one["ms"] is not None and not one["missing"] for one in summary["sums"])
    table = (tmp_path / "out" / "summary.md").read_text()
    assert "| student, 2 blocks | bf16 | kernel-eager |" in table
    assert "ours with our attention against float32" in table


def test_one_that_raises_is_a_line_and_the_rest_is_measured(tmp_path: Path) -> None:
    asked = request_of(tmp_path, dtypes=["fp16"], modes=["eager"], stages=["student", "decode", "policy"])

    def measure(cell: Cell, seconds: float) -> Finding:
        if cell.stage == "student":
            raise torch.OutOfMemoryError("CUDA out of memory.\nmore words")
        return Finding(stage=cell.stage, mode=cell.mode, dtype=cell.dtype, ms=1.0, record=f"{cell.stage}.json")

    result = measure_published(asked, measure)
    assert result["failures"] == {"student-2-blocks fp16 eager": "OutOfMemoryError: CUDA out of memory."}
    assert list(result["records"]) == ["decode fp16 eager", "policy fp16 eager"]
    table = (tmp_path / "out" / "summary.md").read_text()
    assert "- student, 2 blocks fp16 eager: OutOfMemoryError: CUDA out of memory." in table

    def again(cell: Cell, seconds: float) -> Finding:
        return Finding(stage=cell.stage, mode=cell.mode, dtype=cell.dtype, blocks=cell.blocks, ms=3.0)

    measure_published(asked.model_copy(update={"stages": ("student",)}), again)
    added = json.loads((tmp_path / "out" / "summary.json").read_text())["findings"]
    assert {one["stage"]: (one["ms"], one["problem"]) for one in added} == {
        "decode": (1.0, None),
        "policy": (1.0, None),
        "student": (3.0, None),
    }


def test_a_cell_and_the_whole_have_a_limit(tmp_path: Path) -> None:
    asked = request_of(tmp_path, dtypes=["fp16"], modes=["eager"], stages=["policy", "render"], cell_s=1.2, limit_s=2)

    def measure(cell: Cell, seconds: float) -> Finding:
        with suppress(Exception):  # as a compiler might
            time.sleep(60)
        raise AssertionError("not reached")

    result = measure_published(asked, measure)
    late, unbegun = result["failures"].values()
    assert "took more than 1 s" in late
    assert "not begun" in unbegun


def test_the_alarm_is_off_afterwards() -> None:
    with pytest.raises(TimeIsUp), within(0.05):
        time.sleep(5)
    with within(0.1):
        pass
    time.sleep(0.15)


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the modes"):
        measure_published(request_of(tmp_path, modes=["kernel-eager"], stages=["policy"]))
    tiny = request_of(tmp_path, preset="tiny", dtypes=["fp16"], modes=["eager"], stages=["decode"])
    (problem,) = measure_published(tiny)["failures"].values()
    assert "has no published autoencoder" in problem
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="no CUDA device"):
            measure_published(request_of(tmp_path, device="cuda"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_attention_operator_against_torch(library: Path, dtype: torch.dtype) -> None:
    together = torch.randn(2, 9, 3, 64, generator=torch.Generator().manual_seed(0)).to(dtype).transpose(1, 2)
    apart, value = together.flip(2).contiguous(), together * 2
    found = attention(together, apart, value, str(library))
    wanted = scaled_dot_product_attention(together.double(), apart.double(), value.double())
    assert found.dtype == dtype
    assert found.transpose(1, 2).is_contiguous()
    assert (found.double() - wanted).norm() / wanted.norm() < (1e-3 if dtype == torch.float16 else 8e-3)
    with pytest.raises(BackendError, match="float32"):
        attention(together.float(), apart.float(), value.float(), str(library))


def test_operations_are_counted_without_memory(tmp_path: Path) -> None:
    counter = Counter(PRESET, request_of(tmp_path))
    counts = counter.of(Cell("student", "own-compile", "bf16", 2))
    width, tokens, texts, patches = 128, 3 + 5 * 2 * 3, 3, 5 * 2 * 3
    linear = 2 * (2 * tokens * width * width * (4 + 8))  # to_q, to_k, to_v, to_out, and the two of the feed-forward
    attended = 2 * (4 * tokens * tokens * width)
    ends = 2 * patches * width * (2 * 16 * 4 + 16 * 4) + 2 * texts * 8 * width
    times = 2 * (width * 16 + 16 * 16) + 2 * (2 * 2 * 16 * 6 * width) + 2 * 16 * 2 * width
    assert counts.operations == linear + attended + ends + times
    assert counts.precision == "bf16"
    assert counts.least_bytes() == counts.weights * 2 + counts.io_bytes


def test_weights_are_drawn_by_name_and_tables_kept() -> None:
    from videoscene_rt.export.policy import DDPNet

    one, same, other = (made(lambda: DDPNet(PRESET), torch.float16, Draw("cpu", seed)) for seed in (0, 0, 1))
    assert one.candidates.tolist() == [399, 459]
    assert torch.equal(one.score.weight, same.score.weight)
    assert not torch.equal(one.score.weight, other.score.weight)
    assert one.score.weight.std().item() == pytest.approx((4 * 9) ** -0.5, rel=0.4)


def finding(stage: Any, mode: Any, ms: float, blocks: int | None = None, **more: Any) -> Finding:
    return Finding(stage=stage, mode=mode, dtype=more.pop("dtype", "fp16"), ms=ms, blocks=blocks, **more)


def test_blocks_are_extrapolated_and_marked() -> None:
    few = [
        finding("student", "compile", 40.0, 2),
        finding("student", "compile", 160.0, 8),
        finding("student", "eager", 900.0, 42),
    ]
    (line,) = extrapolated(few, 42)
    assert line.ms == pytest.approx(840.0)
    assert line.extrapolated == "from 2 and 8 blocks"
    assert line.mode == "compile"
    assert extrapolated([*few, finding("student", "compile", 800.0, 42)], 42) == []


def test_sums_take_what_there_is_and_say_what_is_missing() -> None:
    found = [
        finding("render", "kernel-eager", 1.0, dtype="fp32", floor_ms=0.5),
        finding("encode_coarse", "eager", 1000.0, floor_ms=300.0),
        finding("encode_images", "eager", 70.0, floor_ms=20.0),
        finding("policy", "eager", 1.0, floor_ms=0.1),
        finding("student", "eager", 900.0, 42, floor_ms=400.0),
        finding("decode", "eager", 2300.0, floor_ms=600.0),
        finding("decode", "own-compile", 1300.0, first_ms=250.0, floor_ms=600.0),
    ]
    sums = {(one.autoencoder, one.name): one for one in step_sums(found, 42)}
    eager, fastest = sums["full", "published path, eager"], sums["full", "our modules, torch.compile"]
    assert (eager.ms, eager.first_ms, eager.floor_ms) == (4272.0, 4272.0, pytest.approx(1320.6))
    assert (fastest.ms, fastest.first_ms) == (3272.0, 2222.0)
    assert sums["tiny", "published path, eager"].ms is None
    assert sums["tiny", "published path, eager"].missing == ("tiny_encode_coarse", "tiny_encode_images", "tiny_decode")
    assert {name for _, name in sums}.isdisjoint({"TensorRT", "ONNX Runtime CUDA"}), (
        "of which nothing but the renderer is there"
    )
