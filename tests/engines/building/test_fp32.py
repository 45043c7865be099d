"""FP32 on ONNX Runtime's CPU provider: as traced where nothing was built; built, the graphs that have a rewrite run rewritten."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.engines.building.played import located
from tests.support.built import build, outcomes, recording, stored
from tests.support.scenes import scene
from videoscene_rt import BackendError, Pipeline
from videoscene_rt.cli.main import main
from videoscene_rt.engines import platform, rewrite
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.building.order import Order
from videoscene_rt.engines.building.produce import produce
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.gates import Limits
from videoscene_rt.engines.rewrite import Rewrite
from videoscene_rt.engines.store.store import EngineStore

PAIR = "onnxruntime/fp32"
REWRITTEN = {"decode_clip", "decode_stream"}


@pytest.fixture(scope="module")
def once(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small bundle, built in FP32. Read only."""
    folder = Path(shutil.copytree(small_bundle, tmp_path_factory.mktemp("fp32") / "b.bundle"))
    report = build(folder, "fp32")
    report.check()
    assert {graph for graph, outcome in outcomes(report).items() if outcome == "built"} == REWRITTEN
    assert {outcome for graph, outcome in outcomes(report).items() if graph not in REWRITTEN} == {"source"}
    return folder


@pytest.fixture
def mine(once: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    return Path(shutil.copytree(once, tmp_path / "mine.bundle"))


def identity(folder: Path, graph: str) -> Any:
    """Of what is loaded for a graph; None for the traced one."""
    return open_backend(threads=1).load(Bundle.open(folder), graph).identity  # type: ignore[attr-defined]


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path, load_external_data=False).graph.node}


def test_what_was_never_built_runs_as_it_was_traced(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    for graph in bundle.manifest.graphs:
        found = located(small_bundle, graph, "onnxruntime", "fp32")
        assert (found.path, found.engine) == (bundle.graph_path(graph), None)


def test_what_has_a_rewrite_is_built_gated_and_run(once: Path) -> None:
    bundle = Bundle.open(once)
    for graph in REWRITTEN:
        engine = stored(once, graph, PAIR)
        assert (engine.identity.precision, engine.identity.calibration_sha256) == ("fp32", None)
        assert engine.record.gate.status == "passed"
        assert engine.record.messages[0].startswith("doubling and 3×3 convolution as one")
        assert "Resize" in operators(bundle.graph_path(graph))
        assert "Resize" not in operators(engine.path)
        assert "ConvTranspose" in operators(engine.path)
        assert identity(once, graph) == engine.identity
    assert identity(once, "student") is None
    assert EngineStore(once).selected().pairs[PAIR].chain.status == "passed"


def test_its_frames_are_within_one_level_of_the_traced_ones(once: Path, small_bundle: Path) -> None:
    given = scene(seed=3)
    frames = []
    for folder in (small_bundle, once):
        with Pipeline.load(folder, threads=1) as pipeline:
            frames.append(pipeline.step(given, seed=4).frames.astype(int))
            with pipeline.stream(given, seed=4) as stream:
                streamed = np.concatenate([chunk.host().copy() for chunk in stream])
            assert np.abs(streamed.astype(int) - frames[-1]).max() <= 1
    assert np.abs(frames[1] - frames[0]).max() <= 1


def test_a_second_build_makes_nothing(mine: Path) -> None:
    class Known:
        digest, scenes = recording(mine).digest, ("random-0", "random-1", "random-2")

    report = build(mine, "fp32", Known())
    report.check()
    assert {graph for graph, outcome in outcomes(report).items() if outcome == "reused"} == REWRITTEN


def test_damage_and_another_version_are_refused_with_the_command(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = f"vsrt build {mine} --backend onnxruntime --precision fp32"
    path = stored(mine, "decode_clip", PAIR).path
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!")
    with pytest.raises(BackendError, match="was altered") as caught:
        identity(mine, "decode_clip")
    assert caught.value.remedy == command
    path.write_bytes(whole)
    real = platform.metadata.version
    monkeypatch.setattr(platform.metadata, "version", lambda name: "9.9.9" if name == "onnxruntime" else real(name))
    with pytest.raises(BackendError, match=r"here is 9\.9\.9") as caught:
        identity(mine, "decode_clip")
    assert caught.value.remedy == command
    (mine / "engines" / "selected.json").write_text("{")
    with pytest.raises(BackendError, match="cannot be understood"):
        identity(mine, "decode_clip")
    assert identity(mine, "student") is None, "it has no rewrite, so nothing of the store is asked for"


def test_a_rewritten_graph_that_its_gate_refuses_stays_as_traced(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = Limits(relative_l2=1e-12)
    for module in ("gating", "verdict"):
        monkeypatch.setattr(
            f"videoscene_rt.engines.building.{module}.limits",
            lambda graph, precision: strict if graph == "decode_stream" else Limits(),
        )
    assert main(["build", str(mine), "--precision", "fp32", "--threads", "1"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "note: graph decode_stream runs as it was traced: its rewritten form is refused by its accuracy gate: " in out
    )
    assert "limit 1e-12" in out
    assert identity(mine, "decode_stream") is None
    assert identity(mine, "decode_clip") is not None


def test_engines_of_a_rewrite_that_is_no_more_are_not_asked_for(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite, "_table", tuple)
    assert identity(mine, "decode_clip") is None
    assert set(outcomes(build(mine, "fp32")).values()) == {"source"}


def test_a_rewrite_that_does_not_fit_leaves_the_bundles_own_graph(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Rewrite(name="subpixel_upsampling", version=1, graphs=("policy",), backends=("onnxruntime",), why="none")
    monkeypatch.setattr(rewrite, "_table", lambda: (one,))
    here = platform.platform("onnxruntime")
    order = Order(Bundle.open(small_bundle), "policy", "fp32", here, tmp_path / "out", tmp_path)
    order.folder.mkdir()
    produced = produce(order, None, lambda words, done: None)
    assert (produced.route, list(order.folder.iterdir())) == ("source", [])
    assert produced.messages[0].startswith("not rewritten (subpixel_upsampling)")


def test_fp16_is_rewritten_too(built_once: Path) -> None:
    engine = stored(built_once, "decode_clip")
    assert "ConvTranspose" in operators(engine.path)
    assert "Resize" not in operators(engine.path)
