"""The commands as a user types them: what they write, what they print, and how they refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.support.checkpoints import write_published
from tests.support.presets import PUBLISHED, SMALL
from tests.support.scenes import scene
from tests.support.shipping import ship_nothing
from videoscene_rt import BackendError, Pipeline, environment
from videoscene_rt.cli import demo as demo_command
from videoscene_rt.cli.main import main
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.specs import GraphSpec
from videoscene_rt.export import bundle_export, proof
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.pictures import run_folder
from videoscene_rt.scenes.scene_folder import save_scene

Capture = pytest.CaptureFixture[str]
FILES = ["coarse.mp4", "contact_sheet.png", "refined.mp4", "report.json"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(save_scene(scene(), tmp_path / "scene"))


def run(*words: object) -> int:
    return main([str(word) for word in words])


def refused(capsys: Capture, code: int, *words: object) -> str:
    """Run a command that must fail with this exit code and one or two lines; they are given back."""
    assert run(*words) == code
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert "Traceback" not in captured.err
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert lines.index(errors[0]) >= len(lines) - 2
    assert captured.out == ""
    return captured.err


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_run_writes_its_four_files(small_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "deep" / "out"
    assert run("run", small_bundle, "--scene", folder, "--out", out, "--seed", 4) == 0
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert frames_of(out / "coarse.mp4").shape == frames_of(out / "refined.mp4").shape == (9, 32, 48, 3)
    assert Image.open(out / "contact_sheet.png").width > 9 * 48
    report = json.loads((out / "report.json").read_text())
    assert report["seed"] == 4
    assert report["timestep"] in (99, 499, 899)
    assert report["points"] == {"given": 2000, "used": 2000}
    checks = report["checks"]
    assert len(checks["hole_fraction"]) == 9
    assert checks["status"] == "ok"
    assert list(checks["ranges"]) == ["coarse", "depth", "z_r", "logits", "z_0", "refined"]
    assert all(entry["finite"] and entry["minimum"] < entry["maximum"] for entry in checks["ranges"].values())
    assert report["scene"]["images"] == ["first.png, 48×32", "second.png, 48×32"]
    assert {"videoscene-rt", "python", "numpy", "onnxruntime"} <= set(report["versions"])
    assert set(report["timings_ms"]) == {
        "render", "encode", "encode_images", "policy", "student", "decode", "watch", "step",
    }  # fmt: skip
    printed = capsys.readouterr().out
    assert all(str(out / name) in printed for name in FILES)
    assert "untrained" in printed


def test_the_same_seed_gives_the_same_video(
    small_bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frame by frame, as they go to the encoder: of 3,000 files that libx264 made of the same planes, one was of other bytes."""
    written: dict[str, bytes] = {}
    encode = run_folder.write_video

    def noted(path: Path, frames: np.ndarray, fps: float) -> None:
        written[f"{path.parent.name}/{path.name}"] = np.asarray(frames).tobytes()
        encode(path, frames, fps)

    monkeypatch.setattr(run_folder, "write_video", noted)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        words = ["--out", tmp_path / name, "--seed", seed, "--noise-timestep", 900, "--json"]
        assert run("run", small_bundle, "--scene", folder, *words) == 0
        assert (tmp_path / name / "refined.mp4").stat().st_size > 1000
    videos = [frames for file, frames in written.items() if file.endswith("refined.mp4")]
    assert len(videos) == 3
    assert videos[0] == videos[1] != videos[2]


def test_json_is_one_document_and_the_report(small_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run("run", small_bundle, "--scene", folder, "--out", tmp_path / "o", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == json.loads((tmp_path / "o" / "report.json").read_text())
    assert captured.err == ""


def test_a_noise_timestep_is_one_more_than_the_timestep(small_bundle: Path, folder: Path, tmp_path: Path) -> None:
    assert run("run", small_bundle, "--scene", folder, "--out", tmp_path / "o", "--noise-timestep", 460, "--json") == 0
    assert json.loads((tmp_path / "o" / "report.json").read_text())["timestep"] == 459


def test_a_cloud_over_the_limit_is_thinned_and_said(small_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = save_scene(scene(points=7000), tmp_path / "scene")
    assert run("run", small_bundle, "--scene", folder, "--out", tmp_path / "o") == 0
    assert "thinned evenly from 7,000 to 3,000 points" in capsys.readouterr().out
    assert json.loads((tmp_path / "o" / "report.json").read_text())["points"] == {"given": 7000, "used": 3000}


def test_another_run_replaces_the_first_and_nothing_else(small_bundle: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    for seed in (1, 2):
        assert run("run", small_bundle, "--scene", folder, "--out", out, "--seed", seed, "--json") == 0
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "notes.txt"])
    assert json.loads((out / "report.json").read_text())["seed"] == 2


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (["--noise-timestep", 0], "--noise-timestep must be from 1 to 1000"),
        (["--noise-timestep", 1001], "--noise-timestep must be from 1 to 1000"),
        (["--noise", "loud"], "'loud'"),
        (["--seed", -1], "--seed"),
        (["--seed", 2**64], "seed must be"),
        (["--threads", 0], "threads"),
        (["--threads", 100_000], "threads must be a whole number from 1 to"),
        (["--backend", "abacus"], "no backend 'abacus'"),
        (["--precision", "fp17"], "no precision 'fp17'"),
        (["--fps", 0], "rate must be"),
        (["--fps", "nan"], "rate must be"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_a_wrong_option_is_named(
    small_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture, words: list, culprit: str
) -> None:
    out = tmp_path / "o"
    assert culprit in refused(capsys, 2, "run", small_bundle, "--scene", folder, "--out", out, *words)
    assert not out.exists()


@pytest.mark.parametrize("words", [["--precision", "fp16"], ["--precision", "int8"], ["--backend", "tensorrt"]])
def test_what_is_known_and_not_to_be_had_here_is_exit_3(
    small_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture, words: list
) -> None:
    refused(capsys, 3, "run", small_bundle, "--scene", folder, "--out", tmp_path / "o", *words)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_folder_where_a_file_goes_is_refused_before_anything_is_replaced(
    small_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture, name: str
) -> None:
    out = tmp_path / "o"
    (out / name).mkdir(parents=True)
    for other in set(FILES) - {name}:
        (out / other).write_text("old")
    error = refused(capsys, 2, "run", small_bundle, "--scene", folder, "--out", out)
    assert f"{out / name} is a folder" in error
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert all((out / other).read_text() == "old" for other in set(FILES) - {name})


@pytest.mark.parametrize("command", ["run", "demo"])
def test_the_target_is_looked_at_before_the_work(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, folder: Path, command: str
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it began to work")

    monkeypatch.setattr("videoscene_rt.pipeline.Pipeline.load", never)
    monkeypatch.setattr(demo_command, "_usable", never)
    (tmp_path / "file").write_text("mine")
    words = ["run", tmp_path / "no bundle", "--scene", folder] if command == "run" else ["demo"]
    for out, culprit in ((tmp_path / "file", "is not a folder"), (tmp_path / "file" / "deeper", "is not a folder")):
        error = refused(capsys, 2, *words, "--out", out)
        assert culprit in error
        assert "--out" in error
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_that_fails_takes_its_folder_with_it(
    small_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise BackendError("no encoder")

    monkeypatch.setattr("videoscene_rt.pictures.run_folder.write_video", fail)
    assert "no encoder" in refused(
        capsys, 3, "run", small_bundle, "--scene", folder, "--out", tmp_path / "deep" / "er" / "o"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]
    (tmp_path / "mine").mkdir()
    refused(capsys, 3, "run", small_bundle, "--scene", folder, "--out", tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("name", ["z_r", "logits"])
def test_what_is_not_finite_on_the_way_is_no_result(
    small_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = Pipeline.tensor

    def tensor(self: Pipeline, wanted: str) -> np.ndarray:
        found = real(self, wanted)
        if wanted == name:
            found.flat[0] = np.inf
        return found

    monkeypatch.setattr(Pipeline, "tensor", tensor)
    assert f"{name} is not finite" in refused(
        capsys, 3, "run", small_bundle, "--scene", folder, "--out", tmp_path / "o"
    )
    assert not (tmp_path / "o").exists()


def test_thinning_never_refuses_a_scene(small_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    """One point in front among 7,000, and it is not among those that are left."""
    given = scene(points=7000)
    given.xyz[:, 2] = -1
    given.xyz[1] = (0, 0, 2)
    saved = save_scene(given, tmp_path / "scene")
    assert run("run", small_bundle, "--scene", saved, "--out", tmp_path / "o", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["points"] == {"given": 7000, "used": 3000}
    assert any("9 of 9 coarse frames are all holes" in note for note in report["notes"])


def test_points_between_the_camera_and_the_near_plane_are_told(
    small_bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    given = scene()
    given.xyz[:] *= 0.01  # depths of 0.01 to 0.04 m; near is 0.05 m
    saved = save_scene(given, tmp_path / "scene")
    assert run("run", small_bundle, "--scene", saved, "--out", tmp_path / "o") == 0
    assert "note: 9 of 9 coarse frames are all holes" in capsys.readouterr().out


def test_bundles_and_scenes_that_are_none(small_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "o"
    assert "no such folder" in refused(capsys, 2, "run", tmp_path / "no", "--scene", folder, "--out", out)
    assert str(tmp_path / "no") in refused(capsys, 2, "run", small_bundle, "--scene", tmp_path / "no", "--out", out)
    broken = next(path for path in folder.iterdir() if path.suffix == ".png")
    broken.write_bytes(b"not a picture")
    assert broken.name in refused(capsys, 2, "run", small_bundle, "--scene", folder, "--out", out)
    assert not out.exists()


def test_an_altered_bundle_is_refused(small_bundle: Path, folder: Path, tmp_path: Path, capsys: Capture) -> None:
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "b"))
    content = bytearray((bundle / "weights_student.bin").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "weights_student.bin").write_bytes(content)
    for words in (["run", bundle, "--scene", folder, "--out", tmp_path / "o"], ["inspect", bundle]):
        assert "weights_student.bin was altered" in refused(capsys, 2, *words)


def test_inspect_shows_what_is_in_the_manifest(small_bundle: Path, capsys: Capture) -> None:
    assert run("inspect", small_bundle, "--tensors") == 0
    text = capsys.readouterr().out
    manifest = Bundle.open(small_bundle).manifest
    for word in ("9 frames of 32×48", "untrained, from seed 0", "world_to_camera", "99, 499, 899", *manifest.graphs):
        assert word in text, word
    assert run("inspect", small_bundle, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["preset"]["name"] == "small"
    assert document["bundle_sha256"] == Bundle.open(small_bundle).digest


@pytest.mark.slow
def test_export_from_a_preset_file(tmp_path: Path, capsys: Capture) -> None:
    preset = tmp_path / "mine.json"
    preset.write_text(SMALL.model_dump_json())
    out = tmp_path / "mine.bundle"
    words = [
        "--point-radius",
        2,
        "--near",
        0.5,
        "--background",
        "1,2,3",
        "--rounding",
        "bfloat16",
        "--noise-timestep",
        500,
    ]
    assert run("export", "--preset", preset, "--out", out, *words, "--json") == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert set(document["graphs"]) == set(Bundle.open(out).manifest.graphs)
    assert captured.err == ""
    manifest = Bundle.open(out).manifest
    renderer, schedule = manifest.preset.renderer, manifest.preset.schedule
    assert (renderer.radius, renderer.near, renderer.background) == (2, 0.5, (1, 2, 3))
    assert schedule.rounding == "bfloat16"
    assert (manifest.policy.kind, manifest.policy.chosen) == ("constant", 499)
    assert document["policy"]["chosen"] == 499
    assert run("inspect", out) == 0
    assert "constant: always t = 499 (noise timestep 500)" in capsys.readouterr().out
    assert "exists already" in refused(capsys, 2, "export", "--preset", preset, "--out", out)


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (["--preset", "huge"], "no preset 'huge'; choose"),
        (["--rounding", "up"], "--rounding must be exact or bfloat16, not 'up'"),
        (["--background", "1,2"], "--background must be R,G,B"),
        (["--background", "red"], "--background must be R,G,B"),
        (["--background", "0,0,256"], "--background must be R,G,B"),
        (["--near", -1], "--near must be above 0"),
        (["--near", "inf"], "--near must be above 0"),
        (["--near", "nan"], "--near must be above 0"),
        (["--near", 32768], "--near must be above 0 and below 32768"),
        (["--point-radius", 99], "--point-radius must be from 0 to 8"),
        (["--noise-timestep", 0], "--noise-timestep must be from 1 to 1000, not 0"),
        (["--noise-timestep", 123], "is no candidate"),
        (["--checkpoint", "nowhere"], "nowhere is not a checkpoint"),
        (["--student", "model.safetensors"], "--student goes over a checkpoint, and none was given"),
        (["--accept", "anything"], "--accept must be missing, unexpected, misshapen, not 'anything'"),
        (["--frames", 12], "frames must be 8k+1"),
        (["--proof", "half"], "--proof must be auto, whole or twin, not 'half'"),
        (["--weights-dtype", "int8"], "--weights-dtype must be float32, float16 or bfloat16, not 'int8'"),
        (["--weights-dtype", "float16"], "--weights-dtype is for weights from a seed"),
    ],
)
def test_export_refuses_with_words(tmp_path: Path, capsys: Capture, words: list, culprit: str) -> None:
    error = refused(capsys, 2, "export", "--out", tmp_path / "a.bundle", *words)
    assert all(part in error for part in culprit.split("; "))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", ["the motorcycle", "the room"])
def test_demo_writes_everything_and_keeps_its_bundle(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, source: str
) -> None:
    """With a small bundle in place of the tiny one, so that it takes a second; `make demo` is the real thing."""
    exports: list[Path] = []

    def export(bundle: Path, quiet: bool) -> None:
        shutil.copytree(small_bundle, bundle)
        exports.append(bundle)

    monkeypatch.setattr(demo_command, "_export", export)
    made = Bundle.open(small_bundle).manifest.provenance
    monkeypatch.setattr(demo_command, "_usable", lambda bundle: made if bundle.exists() else None)
    monkeypatch.setattr("videoscene_rt.scenes.middlebury.demo_scene", lambda: (scene(), source))
    for again in (False, True):
        assert run("demo", "--out", tmp_path / "o") == 0
        printed = capsys.readouterr().out
        assert source in printed
        assert all(str(tmp_path / "o" / name) in printed for name in FILES)
        assert (f"using the bundle of {made.created}" in printed) == again
    assert len(exports) == 1
    shutil.rmtree(tmp_path / "o" / "tiny.bundle")  # the stand-in above does not replace, as the export does
    assert run("demo", "--out", tmp_path / "o", "--fresh") == 0
    assert "using the bundle" not in capsys.readouterr().out
    assert len(exports) == 2


def test_a_bundle_of_another_version_is_not_used_again(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship_nothing(tmp_path / "trained", monkeypatch)
    assert demo_command._usable(tmp_path / "nothing") is None
    assert demo_command._usable(small_bundle) is None  # whole, but not of the preset tiny
    monkeypatch.setattr("videoscene_rt.export.presets.load_preset", lambda name: SMALL)
    assert demo_command._usable(small_bundle) is not None
    real = environment.version
    for package in ("videoscene-rt", "torch", "onnxscript"):
        monkeypatch.setattr(environment, "version", lambda name, other=package: "0" if name == other else real(name))
        assert demo_command._usable(small_bundle) is None, package
    monkeypatch.setattr(environment, "version", lambda name: None if name == "torch" else real(name))
    assert demo_command._usable(small_bundle) is not None, "what is not installed here says nothing"


def test_a_published_folder_is_exported_in_its_own_sizes(
    published_bundle: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No preset is named; a student goes over the folder's. The policy's candidate nearest to t = 459 is taken, and said.

    Graphs that were traced already stand for those that would be.
    """
    made = Bundle.open(published_bundle).manifest

    def traced(source: GraphSource, folder: Path, *_: object) -> GraphSpec:
        for name in (f"{source.name}.onnx", f"weights_{source.weights}.bin"):
            if (published_bundle / name).exists():
                shutil.copy(published_bundle / name, folder)
        return made.graphs[source.name]

    monkeypatch.setattr(bundle_export, "_export_graph", traced)
    monkeypatch.setattr(proof, "prove_chains", lambda *_: made.chain_parity)
    models = write_published(tmp_path / "small-i2v", PUBLISHED, dtype=torch.float16)
    over = {key: tensor.half() for key, tensor in models.transformer.state_dict().items() if ".attn1." in key}
    save_file({**over, "extra": torch.zeros(1)}, tmp_path / "model.safetensors")
    words = ["export", "--checkpoint", tmp_path / "small-i2v", "--student", tmp_path / "model.safetensors"]
    words += ["--frames", 9, "--out", tmp_path / "a.bundle"]
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert "1 tensors are unexpected: extra in model.safetensors" in captured.err
    assert "not in the model: extra" in captured.err, "the table is there, before the error"
    assert captured.out == ""
    assert run(*words, "--accept", "unexpected", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    student = document["weights"][0]
    assert student["files"][str(tmp_path / "model.safetensors")] == len(over)
    assert student["unexpected"] == ["extra in model.safetensors"]
    manifest = Bundle.open(tmp_path / "a.bundle").manifest
    assert (manifest.preset.name, manifest.preset.frames, manifest.policy.chosen) == ("small-i2v", 9, 459)
    assert manifest.provenance.weights_dtype == {"student": "float16", "autoencoder": "float16"}
    assert manifest.provenance.mismatches == {"student": {"unexpected": 1}}
    assert [file.file for file in manifest.provenance.tensor_files if file.component == "autoencoder"] == [
        "vae/diffusion_pytorch_model.safetensors"
    ]


def test_a_terminated_export_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM in the middle, as a service manager sends it: exit code 143, and the half-written folder is gone."""
    (tmp_path / "mine.json").write_text(SMALL.model_dump_json())
    target = tmp_path / "out" / "a.bundle"
    words = ["export", "--preset", str(tmp_path / "mine.json"), "--out", str(target)]
    process = subprocess.Popen(
        [sys.executable, "-m", "videoscene_rt.cli.main", *words], stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("out/.a.bundle.*.partial/*.onnx")):
            assert process.poll() is None, "it ended before a graph was there"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.terminate()
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert "error: terminated" in said
    assert list((tmp_path / "out").iterdir()) == []
