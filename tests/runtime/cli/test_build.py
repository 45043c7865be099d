"""`vsrt build` as it is typed, and what `vsrt inspect` says afterwards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.built import BUILT
from tests.support.scenes import scene
from videoscene_rt.cli.main import main
from videoscene_rt.engines.gates import Limits
from videoscene_rt.scenes.scene_folder import save_scene


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("VSRT_DATA", raising=False)
    return Path(shutil.copytree(small_bundle, tmp_path / "mine.bundle"))


@pytest.fixture
def scenes(tmp_path: Path) -> list[str]:
    folders = [save_scene(scene(seed=seed), tmp_path / f"scene-{seed}") for seed in range(3)]
    return [word for folder in folders for word in ("--scenes", str(folder))]


def run(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    written = capsys.readouterr()
    return code, written.out, written.err


def test_build_run_inspect(bundle: Path, scenes: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The user's whole way: refused, built, run, looked at, built again."""
    step = ["run", bundle, "--scene", scenes[1], "--out", tmp_path / "out", "--precision", "fp16", "--threads", 1]
    code, _, err = run(capsys, *step)
    assert code == 3
    assert f"→ vsrt build {bundle} --backend onnxruntime --precision fp16" in err

    code, out, err = run(capsys, "build", bundle, "--precision", "fp16", "--threads", 1, *scenes, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["scenes"] == ["1-scene-0", "2-scene-1", "3-scene-2"]
    assert {name for name, graph in report["graphs"].items() if graph["outcome"] == "built"} == set(BUILT)
    assert report["chain"]["status"] == "passed"
    for name in BUILT:
        assert report["graphs"][name]["gate"]["status"] == "passed"
        assert {layer["precision"] for layer in report["graphs"][name]["layers"]} <= {"fp32", "fp16"}

    code, out, err = run(capsys, *step, "--json")
    assert code == 0
    assert json.loads(out)["precision"] == "fp16"

    code, out, err = run(capsys, "build", bundle, "--precision", "fp16", *scenes)
    assert code == 0
    for word in ("student", "reused", "source", "reference", "the whole step", "passed", " dB", "scene-0"):
        assert word in out
    assert "built" not in out

    code, out, _ = run(capsys, "inspect", bundle)
    assert code == 0
    assert "onnxruntime in fp16, gated on 1-scene-0, 2-scene-1, 3-scene-2" in out
    assert out.count("passed") == len(BUILT) + 1
    code, out, _ = run(capsys, "inspect", bundle, "--json")
    engines = json.loads(out)["engines"]
    assert set(engines["selected"]) == {"onnxruntime/fp16"}
    assert all(engine["identity"]["backend"] == "onnxruntime" for engine in engines["stored"].values())

    name = engines["selected"]["onnxruntime/fp16"]["graphs"]["decode_clip"]
    (bundle / "engines" / name / "engine.onnx").write_bytes(b"")
    code, out, _ = run(capsys, "inspect", bundle)
    assert code == 0
    (row,) = (line for line in out.splitlines() if "decode_clip" in line and "damaged" in line)
    assert "reference" not in row
    code, out, _ = run(capsys, "inspect", bundle, "--json")
    assert "has 0 bytes" in json.loads(out)["engines"]["stored"][name]["problem"]

    (bundle / "engines" / "selected.json").write_text("{")
    for words in (["inspect", bundle], ["inspect", bundle, "--json"]):
        code, _, err = run(capsys, *words)
        problem, remedy = err.splitlines()[-2:]
        assert code == 3
        assert "selected.json cannot be understood" in problem
        assert f"vsrt build {bundle} --backend BACKEND --precision PRECISION" in remedy


def test_a_refused_engine_is_3_with_the_table_and_what_to_do(
    bundle: Path, scenes: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = Limits(relative_l2=1e-9)
    for module in ("gating", "verdict"):
        monkeypatch.setattr(
            f"videoscene_rt.engines.building.{module}.limits",
            lambda graph, _: strict if graph == "student" else Limits(),
        )
    words = ["build", bundle, "--precision", "fp16", "--threads", 1, *scenes]
    code, out, err = run(capsys, *words)
    assert code == 3
    assert "refused" in out
    problem, remedy = err.splitlines()[-2:]
    assert problem.startswith(
        "error: the engine of graph student is refused by its accuracy gate: relative L2 of z_0 is "
    )
    assert "on 1-scene-0, limit 1e-09" in problem
    assert "--accept" in remedy
    assert "Traceback" not in err
    code, out, err = run(capsys, *words, "--accept")
    assert code == 0
    assert "accepted" in out


def test_few_scenes_are_filled_up_and_it_is_said(
    bundle: Path, scenes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for given in (scenes[:2], scenes[:2] * 3):
        code, _, err = run(capsys, "build", bundle, "--precision", "fp32", *given)
        assert code == 0
        assert "at least 3 different scenes are needed; added room-11, room-12" in " ".join(err.split())


def test_fp32_on_the_cpu_is_the_reference(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "build", bundle)
    assert code == 0
    assert "there is nothing to build" in out
    assert not (bundle / "engines").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--backend", "abacus"], 2, "there is no backend 'abacus'"),
        (["--precision", "fp4"], 2, "'fp4'"),
        (["--scenes", "nowhere", "--precision", "fp16"], 2, "nowhere: no such folder"),
        (["--level", "6"], 2, "'--level'"),
        (["--workspace", "0"], 2, "'--workspace'"),
        (["--workspace", "20000000000000"], 2, "'--workspace'"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(
    bundle: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    found, out, err = run(capsys, "build", bundle, *words)
    assert (found, out) == (code, "")
    lines = [line for line in err.splitlines() if not line.startswith("building")]
    assert said in lines[0]
    assert len(lines) <= 2
    assert not (bundle / "engines").exists()


def test_no_bundle_is_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "build", tmp_path / "none.bundle")
    assert code == 2
    assert "is not a bundle" in err


def test_a_row_shows_the_worst_figures_and_the_limit_that_was_broken() -> None:
    import numpy as np

    from videoscene_rt.cli.engine_table import gate_cells
    from videoscene_rt.engines.activations import GraphActivations, Sample
    from videoscene_rt.engines.gates.gate import gate
    from videoscene_rt.engines.store.records import Gated

    outputs = {"z_0": np.ones((4, 4), np.float32), "frames": np.full((1, 8, 8, 3), 100, np.uint8)}
    recorded = GraphActivations("student", tuple(Sample(name, {}, outputs) for name in ("a", "b")))

    def cells(off: float, asked: Limits) -> tuple[str, ...]:
        found = {"z_0": outputs["z_0"] + np.float32(off), "frames": outputs["frames"].copy()}
        result = gate(lambda inputs: found, recorded, "fp16", asked, "0" * 64)
        return gate_cells(Gated(status="passed" if result.passed else "refused", result=result))

    assert cells(0.25, Limits(relative_l2=0.3)) == ("passed", "2.5e-01", "1.00000", "equal")
    assert cells(0.25, Limits(relative_l2=0.2)) == ("refused", "2.5e-01 (limit 0.2)", "1.00000", "equal")
    assert cells(np.nan, Limits()) == ("refused, 32 NaN/Inf", "NaN", "", "equal")
    assert gate_cells(None)[0] == "reference"
    assert gate_cells(Gated(status="not run"))[0] == "not run"
