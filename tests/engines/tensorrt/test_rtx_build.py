"""TensorRT-RTX's parser and builder, which need no GPU, on the graphs of a bundle: in the process of their own, through the front door."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.tensorrt.plan import deserialize
from videoscene_rt.engines.tensorrt.request import BuilderError, PlanRequest
from videoscene_rt.engines.tensorrt.supervisor import build_plan

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")


def request_for(onnx_file: Path, out: Path) -> PlanRequest:
    return PlanRequest(onnx_file, out / "engine.plan", "tensorrt_rtx", "fp32")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_graph_builds_in_fp32(small_bundle: Path, tmp_path: Path) -> None:
    progress: list[tuple[str, float]] = []
    path = Bundle.open(small_bundle).graph_path("decode_clip")
    result = build_plan(request_for(path, tmp_path), lambda *step: progress.append(step))
    data = (tmp_path / "engine.plan").read_bytes()
    assert data[:4] == b"vtrt"
    assert int.from_bytes(data[16:24], "little") == len(data)
    assert left(tmp_path) == ["engine.plan"]
    assert (tmp_path / "engine.plan").stat().st_mode & 0o077 == 0
    assert result.attempt == {"tactic_sources": None, "level": 3}
    assert any("Opset version" in message for message in result.messages), "the builder's own words are kept"
    phases = [phase for phase, _ in progress if phase != "starting"]
    assert phases[0] == "parsing"
    assert phases[-1] == "writing"
    assert len(set(progress)) > 10


def test_the_renderer_is_refused_by_node(small_bundle: Path, tmp_path: Path) -> None:
    path = Bundle.open(small_bundle).graph_path("renderer")
    with pytest.raises(
        BuilderError,
        match=r"cannot build renderer\.onnx: tensorrt_rtx 1\.\S+: its parser refuses .*graph/Concat \[Concat\].*UINT8",
    ):
        build_plan(request_for(path, tmp_path))
    assert left(tmp_path) == []


def test_a_scatter_with_a_reduction_is_refused_by_node(tmp_path: Path) -> None:
    node = helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], name="splat/Scatter", reduction="min")
    shapes = {"x": (TensorProto.FLOAT, [9]), "i": (TensorProto.INT64, [4]), "u": (TensorProto.FLOAT, [4])}
    inputs = [helper.make_tensor_value_info(name, *shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [9])
    model = helper.make_model(
        helper.make_graph([node], "g", inputs, [output]), opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )
    onnx.save(model, tmp_path / "scatter.onnx")
    (tmp_path / "out").mkdir()
    with pytest.raises(BuilderError, match=r"splat/Scatter \[ScatterElements\]: Unsupported reduction type"):
        build_plan(request_for(tmp_path / "scatter.onnx", tmp_path / "out"))
    assert left(tmp_path / "out") == []


@pytest.mark.parametrize("content", [b"", b"not a graph at all", None], ids=["empty", "garbage", "missing"])
def test_what_is_no_onnx_file(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    if content is not None:
        path.write_bytes(content)
    (tmp_path / "out").mkdir()
    with pytest.raises(BuilderError, match=r"graph\.onnx is not an ONNX file"):
        build_plan(request_for(path, tmp_path / "out"))
    assert left(tmp_path / "out") == []


def test_weights_that_are_not_there(small_bundle: Path, tmp_path: Path) -> None:
    shutil.copy(Bundle.open(small_bundle).graph_path("policy"), tmp_path / "policy.onnx")
    (tmp_path / "out").mkdir()
    with pytest.raises(BuilderError, match=r"refuses policy\.onnx: .*weights_policy\.bin"):
        build_plan(request_for(tmp_path / "policy.onnx", tmp_path / "out"))


def test_damaged_plans_are_refused_and_the_process_lives(small_bundle: Path, tmp_path: Path) -> None:
    build_plan(request_for(Bundle.open(small_bundle).graph_path("policy"), tmp_path))
    data = (tmp_path / "engine.plan").read_bytes()
    damaged = {
        "has 0 bytes": b"",
        "has 63 bytes": data[:63],
        "says it has": data[:-1],
        "says it has .* and has": data + b"\0",
        "of tensorrt_rtx is none": b"ftrt" + data[4:],
        "is none": b"\0" * 4096,
    }
    for words, plan in damaged.items():
        with pytest.raises(BackendError, match=words) as error:
            deserialize("tensorrt_rtx", plan, "policy")
        assert error.value.exit_code == 3
        assert error.value.problem.count("\n") == 0


def test_a_refused_plan_says_why_in_the_loggers_words(small_bundle: Path, tmp_path: Path) -> None:
    build_plan(request_for(Bundle.open(small_bundle).graph_path("policy"), tmp_path))
    data = bytearray((tmp_path / "engine.plan").read_bytes())
    data[24:32] = b"\xff" * 8  # its own version of the format
    with pytest.raises(BackendError, match=r"graph policy: tensorrt_rtx 1\.\S+ refuses its plan: \w+"):
        deserialize("tensorrt_rtx", bytes(data), "policy")
