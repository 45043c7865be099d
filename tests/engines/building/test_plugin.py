"""`vsrt build --plugin`: the library becomes a part of the student's engine, of its identity and of its folder; and of no other's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from tests.engines.building.played import ADA, Maker, located
from tests.support.built import build, outcomes, stored
from tests.support.plugin_library import library
from videoscene_rt import BackendError, InputError
from videoscene_rt.cli.main import main
from videoscene_rt.engines.building import making
from videoscene_rt.engines.building.order import Order, Produced
from videoscene_rt.engines.building.produce import produce
from videoscene_rt.engines.building.request import BuildReport
from videoscene_rt.engines.digest import file_sha256
from videoscene_rt.engines.machine import Gpu
from videoscene_rt.engines.rewrite import NotApplicable, attention_as_plugin
from videoscene_rt.engines.tensorrt import supervisor
from videoscene_rt.engines.tensorrt.request import PlanRequest

Machine = Callable[[Gpu | None], list[str]]


class StudentMaker(Maker):
    """The student is really derived, and the builder of its plan is played; the others are played as a whole."""

    def __call__(self, order: Order, activations: Any, on_progress: Any) -> Produced:
        assert order.plugin is None or order.graph == "student"
        if order.graph != "student":
            return super().__call__(order, activations, on_progress)
        self.made.append(order.graph)
        return produce(order, activations, on_progress)


@pytest.fixture
def asked(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> list[tuple[PlanRequest, list[str]]]:
    """What the builder is asked for, with the operators of the graph."""
    requests: list[tuple[PlanRequest, list[str]]] = []

    def build_plan(request: PlanRequest, *_: Any) -> Any:
        nodes = onnx.load(request.onnx, load_external_data=False).graph.node
        requests.append((request, [node.op_type for node in nodes]))
        request.out.write_bytes(b"plan of student")
        return SimpleNamespace(attempt={"level": 3}, messages=(), version="8.6.1")

    machine(ADA)
    monkeypatch.setattr(making, "produce", StudentMaker())
    monkeypatch.setattr(supervisor, "build_plan", build_plan)
    return requests


def trt(folder: Path, plugin: Path | None = None, **changes: Any) -> BuildReport:
    return build(folder, backend="tensorrt", plugin=plugin, **changes)


def test_it_is_the_students_alone_and_lies_beside_its_plan(
    plain: Path, asked: list[tuple[PlanRequest, list[str]]], tmp_path: Path
) -> None:
    given = library(tmp_path / "given.so")
    report = trt(plain, given)
    report.check()
    ((request, operators),) = asked
    assert operators.count("VideoSceneAttention") == 2
    assert "Softmax" not in operators
    assert request.plugin is not None
    assert (request.plugin.path.name, request.plugin.sha256) == ("plugin.so", file_sha256(given))
    assert request.plugin.path.parent == request.out.parent, "the builder loads the copy that is stored"

    engine = stored(plain, "student", "tensorrt/fp16")
    copy = engine.folder / "plugin.so"
    assert copy.read_bytes() == given.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert (engine.identity.plugin_sha256, engine.record.plugin) == (file_sha256(given), "plugin.so")
    assert engine.record.files["plugin.so"].sha256 == file_sha256(given)
    found = located(plain, "student", "tensorrt")
    assert found.plugin == engine.plugin is not None
    assert found.read() == b"plan of student"
    for graph in ("policy", "decode_clip", "renderer"):
        other = stored(plain, graph, "tensorrt/fp16")
        assert (other.identity.plugin_sha256, other.record.plugin, other.plugin) == (None, None, None)

    given.unlink()
    assert located(plain, "student", "tensorrt").plugin == engine.plugin, "the bundle is whole by itself"

    copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    again = library(tmp_path / "given.so")
    assert outcomes(trt(plain, again))["student"] == "built", "a damaged copy is made again"
    copy.unlink()
    with pytest.raises(BackendError, match=r"plugin\.so is missing") as refused:
        located(plain, "student", "tensorrt")
    assert "--plugin libvideoscene_rt_plugin.so" in str(refused.value.remedy)


def test_another_library_is_another_engine_and_none_is_as_before(
    plain: Path, asked: list[tuple[PlanRequest, list[str]]], tmp_path: Path
) -> None:
    trt(plain, gate=False)
    assert asked[-1][0].plugin is None
    assert "VideoSceneAttention" not in asked[-1][1]
    before = stored(plain, "student", "tensorrt/fp16").identity
    one = library(tmp_path / "one.so")
    assert [graph for graph, outcome in outcomes(trt(plain, one, gate=False)).items() if outcome == "built"] == [
        "student"
    ]
    with_one = stored(plain, "student", "tensorrt/fp16").identity
    assert set(outcomes(trt(plain, one, gate=False)).values()) == {"reused"}
    renamed = tmp_path / "renamed.so"
    renamed.write_bytes(one.read_bytes())
    assert set(outcomes(trt(plain, renamed, gate=False)).values()) == {"reused"}, "a name makes no other library"
    assert outcomes(trt(plain, library(tmp_path / "two.so"), gate=False))["student"] == "built"
    with_two = stored(plain, "student", "tensorrt/fp16").identity
    assert len({before.digest, with_one.digest, with_two.digest}) == 3
    assert [one.field for one in with_one.differences(with_two)] == ["plugin_sha256"]
    assert str(with_one.differences(with_two)[0]).startswith("plug-in: built for")
    assert outcomes(trt(plain, gate=False))["student"] == "built"
    assert stored(plain, "student", "tensorrt/fp16").identity == before


def test_inspect_says_which_engine_has_it(
    plain: Path,
    asked: list[tuple[PlanRequest, list[str]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    def rows() -> dict[str, str]:
        capsys.readouterr()
        assert main(["inspect", str(plain)]) == 0
        _, _, built = capsys.readouterr().out.partition("tensorrt in fp16")
        return {line.split()[0]: line for line in built.splitlines() if line.strip()}

    trt(plain, gate=False)
    assert "plugin" not in "".join(rows().values())
    trt(plain, library(tmp_path / "given.so"), gate=False)
    shown = rows()
    digest = stored(plain, "student", "tensorrt/fp16").identity.digest
    assert f"{digest[:6]}, plugin" in shown["student"]
    assert [graph for graph, line in shown.items() if "plugin" in line] == ["student"]


def test_a_record_that_names_another_library_is_refused(
    plain: Path, asked: list[tuple[PlanRequest, list[str]]], tmp_path: Path
) -> None:
    trt(plain, library(tmp_path / "given.so"), gate=False)
    engine = stored(plain, "student", "tensorrt/fp16")
    for changes in ({"plugin": "engine.plan"}, {"plugin": "other.so"}):
        record = json.loads(engine.record.model_dump_json())
        (engine.folder / "record.json").write_text(json.dumps({**record, **changes}))
        with pytest.raises(BackendError, match="does not name the plug-in that the engine was built with"):
            located(plain, "student", "tensorrt")


def test_a_graph_that_cannot_use_it_is_built_without_and_it_is_said(
    plain: Path,
    asked: list[tuple[PlanRequest, list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: Any) -> str:
        raise NotApplicable("Softmax_1 is not of float32 heads of 64 channels")

    monkeypatch.setattr(attention_as_plugin, "rewrite", refuse)
    given = library(tmp_path / "given.so")
    command = ["build", str(plain), "--backend", "tensorrt", "--precision", "fp16", "--no-gate", "--plugin", str(given)]
    assert main(command) == 0
    assert "graph student does not use the plug-in: not rewritten (attention_as_plugin): Softmax_1 is not" in " ".join(
        capsys.readouterr().out.split()
    )
    engine = stored(plain, "student", "tensorrt/fp16")
    assert asked[-1][0].plugin is None
    assert not (engine.folder / "plugin.so").exists()
    assert (engine.record.plugin, engine.plugin) == (None, None)
    assert engine.identity.plugin_sha256 == file_sha256(given), "the same command finds it again"


@pytest.mark.parametrize(
    ("backend", "precision"), [("tensorrt", "fp32"), ("tensorrt-rtx", "fp16"), ("onnxruntime-cuda", "fp16")]
)
def test_where_it_has_no_use_it_is_refused(
    plain: Path, machine: Machine, tmp_path: Path, backend: str, precision: str
) -> None:
    machine(ADA)
    given = library(tmp_path / "given.so")
    with pytest.raises(InputError, match=f"not for {backend} in {precision}"):
        build(plain, precision, backend=backend, plugin=given)
    assert not (plain / "engines").exists()


def test_a_file_that_is_no_plug_in_or_for_another_tensorrt_is_refused_before_anything_is_made(
    plain: Path, machine: Machine, tmp_path: Path
) -> None:
    machine(ADA)
    with pytest.raises(InputError, match=r"nothing\.so cannot be read"):
        trt(plain, tmp_path / "nothing.so")
    with pytest.raises(InputError, match=r"foreign\.so is not the plug-in of videoscene-rt"):
        trt(plain, library(tmp_path / "foreign.so", ""))
    with pytest.raises(BackendError, match=r"new\.so was built for TensorRT 10\.3, here is 8\.6\.1"):
        trt(plain, library(tmp_path / "new.so", "10.3"))
    assert not (plain / "engines").exists()
