"""How a graph is run on a GPU: by an engine, by its own FP32 graph, by a kernel of ours, or on the host; and how that is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.building.played import ADA, PlayedTensorRt, located
from tests.support.built import BUILT, build, outcomes, stored
from videoscene_rt import BackendError
from videoscene_rt.cli.main import main
from videoscene_rt.engines.building import gating, onnx_files
from videoscene_rt.engines.building import produce as produce_module
from videoscene_rt.engines.building.request import BuildReport
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.kernels import source
from videoscene_rt.engines.machine import Gpu
from videoscene_rt.engines.onnxruntime_cuda_session import Provider
from videoscene_rt.engines.store.identity import EngineIdentity
from videoscene_rt.engines.store.store import EngineStore

Machine = Callable[[Gpu | None], list[str]]
BACKENDS = ("tensorrt", "tensorrt-rtx", "onnxruntime-cuda")


def routes(report: BuildReport) -> dict[str, str]:
    return {graph.graph: graph.route for graph in report.graphs}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_renderer_is_our_kernel_on_every_gpu(plain: Path, machine: Machine, backend: str) -> None:
    machine(ADA)
    report = build(plain, backend=backend)
    report.check()
    assert (routes(report)["renderer"], outcomes(report)["renderer"]) == ("kernel", "built")
    engine = stored(plain, "renderer", f"{backend}/fp16")
    assert engine.path.name == "engine.cu"
    assert engine.read() == source.kernel_source("renderer")
    assert (engine.identity.precision, engine.identity.backend, engine.identity.calibration_sha256) == (
        "fp32",
        backend,
        None,
    )
    assert engine.record.gate.status == "passed"
    found = located(plain, "renderer", backend)
    assert (found.route, found.read()) == ("kernel", engine.read())

    made = machine(ADA)
    build(plain, backend=backend, workspace_mib=64, level=1, gate=False)
    assert "renderer" not in made, "the builder's options have no part in it"


def test_it_is_stored_where_there_is_no_gpu_and_gated_where_there_is(plain: Path, machine: Machine) -> None:
    machine(None)
    build(plain, "fp32", backend="tensorrt-rtx", gate=False)
    assert stored(plain, "renderer", "tensorrt-rtx/fp32").identity.device == "any"
    machine(ADA)
    with pytest.raises(BackendError, match="graph renderer was stored without its accuracy gate"):
        located(plain, "renderer", "tensorrt-rtx", "fp32")
    build(plain, "fp32", backend="tensorrt-rtx").check()
    assert located(plain, "renderer", "tensorrt-rtx", "fp32").route == "kernel"


def test_the_tables_show_how_a_graph_is_run(
    plain: Path, machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(None)
    command = ["build", str(plain), "--backend", "tensorrt-rtx", "--no-gate", "--jobs", "2"]
    assert main(command) == 0
    assert _engine_column(capsys.readouterr().out, "renderer") == "built, kernel"
    assert main(["inspect", str(plain)]) == 0
    digest = stored(plain, "renderer", "tensorrt-rtx/fp32").identity.digest[:6]
    assert _engine_column(capsys.readouterr().out, "renderer") == f"{digest}, kernel"

    no_kernels(monkeypatch)
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["graphs"]["renderer"]
    assert (told["outcome"], told["route"]) == ("host", "host")
    assert main(command) == 0
    note = " ".join(capsys.readouterr().out.split())
    assert "graph renderer runs on the CPU, on ONNX Runtime (host): tensorrt-rtx 1.7.1 has no scatter" in note
    assert main(["inspect", str(plain)]) == 0
    assert _engine_column(capsys.readouterr().out, "renderer") == "host"


def _engine_column(out: str, graph: str) -> str:
    """The cell "engine" of a graph in the table of engines, which may go over several lines where the terminal is narrow."""
    lines = out[out.index("tensorrt-rtx in fp32") :].splitlines()
    header = next(line for line in lines if " engine " in line)
    begin, end = header.index("engine"), header.index("gate")
    first = next(number for number, line in enumerate(lines) if line.startswith(f" {graph}"))
    cells = [lines[first]]
    for line in lines[first + 1 :]:
        if line[:begin].strip():
            break
        cells.append(line)
    return " ".join(line[begin:end].strip() for line in cells).strip()


def test_another_kernel_is_another_engine(plain: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(ADA)
    build(plain, backend="tensorrt").check()
    old = stored(plain, "renderer", "tensorrt/fp16")
    monkeypatch.setattr(source, "kernel_source", lambda graph: b"// faster" if graph == "renderer" else None)
    with pytest.raises(BackendError, match="precision recipe: built for .*, here is"):
        located(plain, "renderer", "tensorrt")
    made = machine(ADA)
    build(plain, backend="tensorrt").check()
    assert made == ["renderer"]
    assert located(plain, "renderer", "tensorrt").read() == b"// faster"
    assert not old.folder.exists()


def test_the_settings_that_the_traced_graph_holds_are_part_of_the_kernels_identity(
    plain: Path, machine: Machine
) -> None:
    machine(ADA)
    build(plain, backend="tensorrt").check()
    manifest = json.loads((plain / "manifest.json").read_text())
    manifest["preset"]["renderer"]["radius"] += 1
    (plain / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BackendError, match="graph renderer needs here: precision recipe"):
        located(plain, "renderer", "tensorrt")


def test_an_altered_kernel_is_refused(plain: Path, machine: Machine) -> None:
    machine(ADA)
    build(plain, backend="tensorrt").check()
    path = stored(plain, "renderer", "tensorrt/fp16").path
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    with pytest.raises(BackendError, match=r"engine\.cu was altered"):
        located(plain, "renderer", "tensorrt").read()
    report = build(plain, backend="tensorrt")
    assert outcomes(report)["renderer"] == "built"


@pytest.mark.parametrize("output", ["frames", "depth", "hole_mask"])
def test_a_kernel_that_differs_in_one_value_is_refused(
    plain: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    class OffByOne(PlayedTensorRt):
        def load(self, bundle: Bundle, graph: str) -> Any:
            engine = super().load(bundle, graph)
            return _Spoilt(engine, output) if graph == "renderer" else engine

    machine(ADA)
    monkeypatch.setattr(gating, "open_backend", lambda name, precision, threads, locate: OffByOne(locate))
    with pytest.raises(BackendError, match=f"graph renderer is refused by its accuracy gate: relative L2 of {output}"):
        build(plain, backend="tensorrt").check()


class _Spoilt:
    """An engine whose contexts add the least there is to one value of an output."""

    scratch_bytes = 0

    def __init__(self, engine: Any, output: str) -> None:
        self._engine, self._output = engine, output
        self.spec = engine.spec

    def context(self, scratch: int | None = None) -> Any:
        context, output, views = self._engine.context(), self._output, {}

        class Context:
            def bind(self, name: str, view: TensorView) -> None:
                views[name] = view
                context.bind(name, view)

            def enqueue(self, stream: int | None = None) -> None:
                context.enqueue()
                array = views[output].owner.reshape(-1)
                one = array.size // 2
                array[one] = np.nextafter(array[one], np.float32(9)) if array.dtype == np.float32 else array[one] ^ 1

        return Context()


def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "kernel_source", lambda graph: None)


def test_what_a_builder_cannot_take_runs_on_the_host_and_it_is_kept_why(
    plain: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_kernels(monkeypatch)
    machine(ADA)
    report = build(plain, backend="tensorrt")
    report.check()
    (renderer,) = (graph for graph in report.graphs if graph.graph == "renderer")
    assert (renderer.outcome, renderer.precision, renderer.gated) == ("host", "fp32", None)
    assert renderer.note == "tensorrt 8.6.1 has no scatter with a reduction"
    found = located(plain, "renderer", "tensorrt")
    assert (found.route, found.path) == ("host", Bundle.open(plain).graph_path("renderer"))
    made = machine(ADA)
    build(plain, backend="tensorrt").check()
    assert made == []


def test_a_version_that_can_is_asked_again(plain: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    no_kernels(monkeypatch)
    machine(ADA)
    build(plain, backend="tensorrt").check()
    from tests.engines.building import played

    monkeypatch.setitem(played.VERSIONS, "tensorrt", "10.13.0")
    monkeypatch.setattr(
        produce_module, "_plan", lambda order, *_, **__: played.Produced(attempt={"played": order.graph})
    )
    with pytest.raises(BackendError, match=r"version: built for 8\.6\.1, here is 10\.13\.0"):
        located(plain, "renderer", "tensorrt")


# ONNX Runtime's CUDA provider, rehearsed on its CPU provider.


def test_onnx_runtime_on_a_gpu_is_gated_there_in_fp32_too(plain: Path, machine: Machine) -> None:
    machine(ADA)
    report = build(plain, "fp32", backend="onnxruntime-cuda")
    report.check()
    assert routes(report) == {"renderer": "kernel", "policy": "source", **dict.fromkeys(BUILT, "source")}
    assert set(outcomes(report).values()) == {"built"}
    engine = stored(plain, "student", "onnxruntime-cuda/fp32")
    assert sorted(path.name for path in engine.folder.iterdir()) == ["identity.json", "record.json"], (
        "no copy of weights"
    )
    assert (engine.identity.device, engine.identity.compute_capability) == (ADA.name, ADA.compute_capability)
    assert (engine.record.gate.status, engine.record.gate.device) == ("passed", ADA.name)
    found = located(plain, "student", "onnxruntime-cuda", "fp32")
    assert (found.route, found.verified()) == ("source", Bundle.open(plain).graph_path("student"))
    with pytest.raises(BackendError, match="has no engine"):
        engine.read()

    made = machine(Gpu("NVIDIA H100 80GB HBM3", "9.0"))
    with pytest.raises(BackendError, match="gpu: built for NVIDIA RTX 4000 Ada, here is NVIDIA H100"):
        located(plain, "student", "onnxruntime-cuda", "fp32")
    build(plain, "fp32", backend="onnxruntime-cuda").check()
    assert set(made) == set(routes(report))


def test_its_fp16_engines_are_derived_and_the_policy_is_the_bundles_own(plain: Path, machine: Machine) -> None:
    machine(ADA)
    report = build(plain, backend="onnxruntime-cuda")
    report.check()
    assert routes(report) == {"renderer": "kernel", "policy": "source", **dict.fromkeys(BUILT, "engine")}
    assert stored(plain, "student", "onnxruntime-cuda/fp16").path.name == "engine.onnx"
    made = machine(ADA)
    build(plain, backend="onnxruntime-cuda").check()
    assert made == []


def test_other_weights_are_another_engine_though_nothing_was_built(
    plain: Path, machine: Machine, tmp_path: Path
) -> None:
    from tests.engines.store.test_identity import retrained

    machine(ADA)
    build(plain, "fp32", backend="onnxruntime-cuda", gate=False)
    other = retrained(plain, tmp_path / "other.bundle", "weights_student.bin")
    with pytest.raises(BackendError, match="graph and weights: built for"):
        located(other, "student", "onnxruntime-cuda", "fp32")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_graph_that_the_cuda_provider_has_no_kernels_for_goes_to_the_host_whole(
    plain: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """Azure's provider, which every CPU build has, has no kernels at all."""
    machine(ADA)
    monkeypatch.setattr(onnx_files, "CUDA", Provider("AzureExecutionProvider", "cpu"))
    monkeypatch.setattr("videoscene_rt.engines.onnxruntime_cuda_session._check_started", lambda ort, provider: None)
    report = build(plain, precision, backend="onnxruntime-cuda")
    report.check()
    assert routes(report) == {"renderer": "kernel", "policy": "host", **dict.fromkeys(BUILT, "host")}
    (student,) = (graph for graph in report.graphs if graph.graph == "student")
    assert f"cannot run graph student in {precision}: no kernel for " in student.note
    assert str(plain) not in student.note
    assert not list((plain / "engines").rglob("*.onnx*"))
    assert located(plain, "student", "onnxruntime-cuda", precision).route == "host"
    made = machine(ADA)
    assert build(plain, precision, backend="onnxruntime-cuda").chain.status == "passed"
    assert made == []


def test_a_provider_that_does_not_start_is_no_reason_for_the_host(
    plain: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(ADA)
    monkeypatch.setattr(onnx_files, "CUDA", Provider("AzureExecutionProvider", "cpu"))
    with pytest.raises(BackendError, match="could not start AzureExecutionProvider on this machine"):
        build(plain, backend="onnxruntime-cuda")


def test_only_the_reference_may_be_a_source_without_a_record(plain: Path, machine: Machine) -> None:
    machine(ADA)
    build(plain, "fp32", backend="onnxruntime-cuda", gate=False)
    store = EngineStore(plain)
    selected = store.selected().model_dump()
    selected["pairs"]["onnxruntime-cuda/fp32"]["graphs"]["student"] = "source"
    store.select(type(store.selected()).model_validate(selected))
    with pytest.raises(BackendError, match="has no engine of graph student for onnxruntime-cuda in fp32"):
        located(plain, "student", "onnxruntime-cuda", "fp32")


def test_the_record_says_which_routes_load_a_file(plain: Path, machine: Machine) -> None:
    machine(ADA)
    build(plain, "fp32", backend="onnxruntime-cuda", gate=False)
    engine = stored(plain, "student", "onnxruntime-cuda/fp32")
    assert isinstance(engine.identity, EngineIdentity)
    path = engine.folder / "record.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "route": "engine"}))
    with pytest.raises(BackendError, match="route engine with the file None"):
        located(plain, "student", "onnxruntime-cuda", "fp32")
