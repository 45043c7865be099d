"""Operations against torch's own counter, floors by hand, projections that say what they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, save
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from videoscene_rt.bench.roofline.facts import Rates, RooflineFacts, StageCounts
from videoscene_rt.bench.roofline.host_rates import copy_rate, matrix_rate
from videoscene_rt.bench.roofline.operations import count_operations
from videoscene_rt.bench.roofline.projection import ASSUMPTIONS, DEVICES, project
from videoscene_rt.bench.roofline.stages import stage_counts, unused_bytes
from videoscene_rt.bench.torch_baseline import graph_sources
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.chain.schedule import schedule
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import InputError


def test_operations_are_what_torch_counts(small_bundle: Path) -> None:
    """Matrix products and convolutions of every graph, by the modules that they were exported from."""
    bundle = Bundle.open(small_bundle)
    counted = 0
    for source in graph_sources(bundle, None):
        found = count_operations(bundle.folder / bundle.graph(source.name).file)
        # Without a fused attention, whose operations torch does not count on a CPU.
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            source.module(*source.example(np.random.default_rng(0)))
        assert found.matrix_operations == counter.get_total_flops(), source.name
        counted += found.matrix_operations > 0
    assert counted >= 6


def test_weights_and_bytes_are_the_modules(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    sources = {source.name: source for source in graph_sources(bundle, None)}
    both = [count_operations(bundle.folder / bundle.graph(name).file) for name in ("encode_clip", "decode_clip")]
    parameters = sum(parameter.numel() for parameter in sources["decode_clip"].module.parameters())
    assert sum(one.weights for one in both) == pytest.approx(parameters, rel=0.01), (
        "biases of a few elements are not counted"
    )
    found = both[1]
    spec = bundle.graph("decode_clip")
    sizes = [np.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize for tensor in (*spec.inputs, *spec.outputs)]
    assert found.io_bytes == sum(sizes)
    assert found.least_bytes(2) == found.weights * 2 + sum(sizes)


def test_by_hand(tmp_path: Path) -> None:
    """[4,8]·[8,16] and a ReLU: 2·4·16·8 operations of the product, 64 of the ReLU; 64 elements lie between."""
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", [4, 8]), ("y", [4, 16]))
    )
    between = helper.make_tensor_value_info("h", TensorProto.FLOAT, [4, 16])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [8, 16], np.zeros(128, np.float32))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    save(
        helper.make_model(helper.make_graph(nodes, "g", [x], [y], [weight], value_info=[between])), tmp_path / "g.onnx"
    )
    found = count_operations(tmp_path / "g.onnx")
    assert (found.matrix_operations, found.other_operations, found.operations) == (1024, 64, 1088)
    assert (found.weights, found.io_bytes, found.between_elements) == (128, 4 * (32 + 64), 128)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(InputError, match="is no ONNX file"):
        count_operations(path)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xy")
    nodes = [helper.make_node("MatMul", ["x", "x"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    save(helper.make_model(helper.make_graph(nodes, "g", [x], [y])), path)
    with pytest.raises(InputError, match="MatMul .*'h' has no shape"):
        count_operations(path)


def test_the_stages_of_a_step(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    placed = schedule(plan_chain(bundle.manifest)).placed
    found = {stage.stage: stage for stage in stage_counts(bundle, placed, "fp16", 10)}
    assert "watch" not in found
    assert (found["render"].precision, found["student"].precision) == ("fp32", "fp16")
    assert found["encode_images"].operations > 0
    spec = bundle.graph("renderer")
    points = spec.input("xyz").shape[0]
    assert unused_bytes(spec, points) == 0
    assert unused_bytes(spec, 10) == (points - 10) * 15
    assert unused_bytes(bundle.graph("student"), 10) == 0


RATES = Rates(device="here", bytes_per_s=1e9, operations_per_s={"fp32": 1e9, "fp16": 4e9}, how="made up")
STAGES = (
    StageCounts(stage="student", graph="student", precision="fp16", operations=8_000_000, weights=500_000, io_bytes=0, between_elements=0),
    StageCounts(stage="render", graph="renderer", precision="fp32", operations=1000, weights=0, io_bytes=3_000_000, between_elements=0),
)  # fmt: skip


def test_a_floor_is_the_longer_of_both() -> None:
    student, render = STAGES
    assert student.parts_ms(RATES) == (2.0, 1.0)
    assert (student.floor_ms(RATES), student.bound(RATES)) == (2.0, "operations")
    assert student.floor_ms(RATES, "fp32") == 8.0
    assert (render.floor_ms(RATES), render.bound(RATES)) == (3.0, "bytes")
    assert student.floor_ms(RATES, "int8") is None, "a rate that is not known has no floor"
    facts = RooflineFacts(rates=RATES, stages=STAGES)
    assert facts.doubts({"student": 2.5, "render": 3.0}) == ""
    assert "in doubt: student took less" in facts.doubts({"student": 1.0, "render": 3.0})


def test_a_projection_stretches_by_the_measured_efficiency() -> None:
    facts = RooflineFacts(rates=RATES, stages=STAGES)
    rows = project(facts, {"student": 4.0, "render": 1.5}, "fp16", like=True)
    assert [row.device for row in rows] == [device.device for device in DEVICES]
    orin = rows[0]
    student = max(8e6 / 42.5e12, 1e6 / 204.8e9) * 1e3
    render = max(1000 / 5.3e12, 3e6 / 204.8e9) * 1e3
    assert orin.floor_ms == pytest.approx(student + render)
    assert orin.stretched_ms == pytest.approx(2 * student + render), (
        "what is under its roofline here is not under it there"
    )
    assert all(row.stretched_ms is None for row in project(facts, {"student": 4.0, "render": 1.5}, "fp16", like=False))
    assert all(row.stretched_ms is None for row in project(facts, {"student": 4.0}, "fp16", like=True)), (
        "a stage is missing"
    )
    both = project(facts, {}, "fp32", like=False)
    assert [row.precision for row in both] == ["fp32"] * len(DEVICES) + ["fp16"] * len(DEVICES)
    assert all(row.floor_ms > 0 for row in both)
    assert ASSUMPTIONS.startswith("Nobody has run this on these devices.")


def test_this_processors_rates() -> None:
    assert 1e8 < copy_rate(1, 1 << 20) < 1e13
    assert 1e8 < matrix_rate(1, 64) < 1e14


@pytest.mark.parametrize("architecture", ["75", "80", "87", "90"])
def test_the_kernels_compile(tmp_path: Path, architecture: str) -> None:
    import subprocess

    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("there is no nvcc here")
    source = Path(__file__).parents[3] / "bench" / "roofline" / "rates.cu"
    out = tmp_path / "rates.ptx"
    subprocess.run(
        [nvcc, "-ptx", f"-arch=compute_{architecture}", "-std=c++17", "-o", out, source],
        check=True,
        capture_output=True,
    )
    text = out.read_text()
    assert text.count("fma.rn.f32") >= 8
    assert text.count("mma.sync.aligned") == (
        0 if architecture == "75" else text.count("mma.sync.aligned.m16n8k16") * 2
    )
    assert ("mma.sync.aligned.m16n8k32" in text) is (architecture != "75")
