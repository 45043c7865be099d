"""Every graph of the preset `tiny`, built by TensorRT-RTX in every precision on a machine without a GPU: what CI proves of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.built import outcomes, stored
from videoscene_rt.chain.recording import Recording
from videoscene_rt.chain.recording_scenes import LEAST_SCENES, scene_sources
from videoscene_rt.engines import machine
from videoscene_rt.engines.building.build import BuildReport, BuildRequest, build_bundle
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.kernels.source import kernel_source

OWN = {
    "fp32": {"renderer": "fp32", "policy": "fp32", "student": "fp32", "encode": "fp32", "decode": "fp32"},
    "fp16": {"renderer": "fp32", "policy": "fp32", "student": "fp16", "encode": "fp16", "decode": "fp16"},
    "int8": {"renderer": "fp32", "policy": "fp32", "student": "int8", "encode": "fp16", "decode": "fp16"},
}
"""What the recipes give each family of graphs under each ceiling."""


def test_every_graph_of_tiny_in_every_precision(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    if machine.gpu() is not None:
        pytest.skip("this machine has a GPU")
    monkeypatch.delenv("VSRT_DATA", raising=False)  # the built-in rooms alone
    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "tiny.bundle"))
    bundle = Bundle.open(folder)
    recording = Recording(bundle, scene_sources(bundle.manifest.preset, ()), threads=1)
    assert len(recording.scenes) >= LEAST_SCENES

    def build(precision: str) -> BuildReport:
        return build_bundle(BuildRequest(bundle, "tensorrt-rtx", precision, gate=False, jobs=2), recording)

    reports = {precision: build(precision) for precision in OWN}
    for precision, report in reports.items():
        assert {graph.graph for graph in report.graphs} == set(bundle.manifest.graphs)
        for graph in report.graphs:
            assert graph.precision == OWN[precision][graph.graph.partition("_")[0]], graph.graph
            engine = stored(folder, graph.graph, f"tensorrt-rtx/{precision}")
            data = engine.read()
            if graph.graph == "renderer":
                assert (graph.route, data) == ("kernel", kernel_source("renderer"))
            else:
                assert (graph.route, data[:4]) == ("engine", b"vtrt")
                assert engine.record.layers
            assert engine.identity.precision == graph.precision
    built = {name: {g for g, o in outcomes(report).items() if o == "built"} for name, report in reports.items()}
    assert built["fp32"] == set(bundle.manifest.graphs)
    assert built["fp16"] == set(bundle.manifest.graphs) - {"renderer", "policy"}
    assert built["int8"] == {"student"}
    recording.close()
