"""Building, loading and refusing: ONNX Runtime's CPU provider is the real backend; TensorRT is played where there is no device."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.engines.building.played import ADA, located
from tests.engines.store.test_identity import retrained
from tests.support.built import BUILT, build, outcomes, recording, stored
from tests.support.scenes import scene
from videoscene_rt import BackendError, InputError, Pipeline
from videoscene_rt.engines import platform
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.building import making
from videoscene_rt.engines.building.order import Order, Produced
from videoscene_rt.engines.building.produce import produce
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.digest import file_sha256
from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.gates import Limits
from videoscene_rt.engines.machine import Gpu
from videoscene_rt.engines.store.identity import EngineIdentity
from videoscene_rt.engines.store.store import EngineStore

ROOT = Path(__file__).parents[3]


class NoRecording:
    """Knows the digest; running it is an error."""

    def __init__(self, folder: Path) -> None:
        self.digest, self.scenes = recording(folder).digest, ("random-0", "random-1", "random-2")

    def __call__(self) -> Any:
        raise AssertionError("the reference was run")

    def steps(self, backend: Backend) -> Any:
        raise AssertionError("the chain was run")


def load(folder: Path, graph: str = "student", precision: str = "fp16", backend: str = "onnxruntime") -> Any:
    return open_backend(backend, precision, 1).load(Bundle.open(folder), graph)


def refusal(
    folder: Path, graph: str = "student", precision: str = "fp16", backend: str = "onnxruntime"
) -> BackendError:
    """Loading is refused, in one line with one line of help, and with exit code 3."""
    with pytest.raises(BackendError) as caught:
        load(folder, graph, precision, backend)
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.problem
    assert caught.value.remedy
    return caught.value


def test_every_graph_is_built_gated_and_runs_near_the_reference(built_once: Path) -> None:
    pairs = EngineStore(built_once).selected().pairs
    assert set(pairs) == {"onnxruntime/fp16", "onnxruntime/int8"}
    for key, pair in pairs.items():
        assert {graph for graph, name in pair.graphs.items() if name == "source"} == {"renderer", "policy"}
        assert pair.chain.status == "passed"
        for graph in BUILT:
            engine = stored(built_once, graph, key)
            assert engine.record.gate.status == "passed"
            assert engine.record.layers
            assert set(engine.record.gate.result.scenes) == {"random-0", "random-1", "random-2"}  # type: ignore[union-attr]
    assert stored(built_once, "student", "onnxruntime/int8").identity.precision == "int8"
    assert pairs["onnxruntime/int8"].graphs["decode_clip"] == pairs["onnxruntime/fp16"].graphs["decode_clip"]

    given = scene(seed=77)
    frames = {}
    for precision in ("fp32", "fp16", "int8"):
        with Pipeline.load(built_once, precision=precision, threads=1) as pipeline:
            frames[precision] = pipeline.step(given).frames.copy().astype(np.float64)
    for precision, least in (("fp16", 45), ("int8", 35)):
        error = np.mean((frames[precision] - frames["fp32"]) ** 2)
        assert error > 0, "another engine must have run"
        assert 10 * np.log10(255**2 / error) > least


def test_nothing_is_done_again(built: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (built / "engines").rglob("*") if path.is_file()}
    for precision in ("fp16", "int8"):
        report = build(built, precision, NoRecording(built))
        report.check()
        assert {outcome for graph, outcome in outcomes(report).items() if graph in BUILT} == {"reused"}
    del before[built / "engines" / ".lock"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


_AGAIN = """
import json, sys, time
from pathlib import Path
start = time.process_time()
from tests.support.built import build
build(Path(sys.argv[1])).check()
heavy = ("onnx", "onnxruntime", "onnx_ir", "torch", "polygraphy", "tensorrt", "tensorrt_rtx")
print(json.dumps([time.process_time() - start, [name for name in heavy if name in sys.modules]]))
"""


def test_a_second_build_takes_less_than_a_second_and_loads_nothing_heavy(built: Path) -> None:
    """Seconds of the process's own time, so that a busy machine does not fail it."""
    runs = [
        json.loads(
            subprocess.run([sys.executable, "-c", _AGAIN, str(built)], cwd=ROOT, capture_output=True, check=True).stdout
        )
        for _ in range(2)
    ]
    assert min(seconds for seconds, _ in runs) < 1
    assert runs[0][1] == []


def test_the_reference_needs_no_engines(small_bundle: Path) -> None:
    report = build(small_bundle, "fp32", NoRecording(small_bundle))
    report.check()
    assert set(outcomes(report).values()) == {"source"}
    assert not (small_bundle / "engines").exists()


def test_what_was_not_built_is_refused_with_the_command_that_builds_it(built: Path) -> None:
    store = EngineStore(built)
    store.select(store.selected().model_copy(update={"pairs": {}}))
    error = refusal(built)
    assert "has no engine of graph student for onnxruntime in fp16" in error.problem
    assert error.remedy == f"vsrt build {built} --backend onnxruntime --precision fp16"


DAMAGE: dict[str, Callable[[Path, Path], object]] = {
    "truncated": lambda engine, other: engine.write_bytes(engine.read_bytes()[:-100]),
    "empty": lambda engine, other: engine.write_bytes(b""),
    "altered": lambda engine, other: engine.write_bytes(engine.read_bytes()[:-1] + b"!"),
    "missing": lambda engine, other: engine.unlink(),
    "another graph's": lambda engine, other: engine.write_bytes(other.read_bytes()),
    "a link": lambda engine, other: (engine.unlink(), engine.symlink_to(other)),
    "writable by others": lambda engine, other: engine.chmod(0o666),
    "noise": lambda engine, other: engine.write_bytes(b"\x08\x0b:\xff" + bytes(range(256)) * 9),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_engine_is_refused_and_built_again(built: Path, damage: str) -> None:
    engine, other = stored(built, "student"), stored(built, "decode_clip")
    DAMAGE[damage](engine.path, other.path)
    refusal(built)
    load(built, "decode_clip")
    report = build(built)
    report.check()
    assert [graph for graph, outcome in outcomes(report).items() if outcome == "built"] == ["student"]
    load(built)


@pytest.mark.parametrize("damage", ["truncated", "empty", "another graph's", "noise"])
def test_an_engine_whose_record_was_made_to_fit_is_refused_by_the_backend_in_words(built: Path, damage: str) -> None:
    engine, other = stored(built, "student"), stored(built, "decode_clip")
    DAMAGE[damage](engine.path, other.path)
    record = json.loads((engine.folder / "record.json").read_text())
    record["files"][engine.path.name] = {"sha256": file_sha256(engine.path), "bytes": engine.path.stat().st_size}
    (engine.folder / "record.json").write_text(json.dumps(record))
    assert "the whole step was gated with another engine of graph student" in refusal(built).problem
    with pytest.raises(BackendError) as caught:  # the build takes it up, and its gate of the step loads it
        build(built)
    assert (caught.value.remedy or "").endswith("--force")

    store = EngineStore(built)
    pairs = {key: pair.model_copy(update={"engines": {}}) for key, pair in store.selected().pairs.items()}
    store.select(store.selected().model_copy(update={"pairs": pairs}))
    assert (refusal(built).remedy or "").endswith("--force")
    build(built, force=True).check()
    load(built)


def test_a_damaged_selection_is_refused_and_made_again(built: Path) -> None:
    (built / "engines" / "selected.json").write_text("{")
    assert "selected.json cannot be understood" in refusal(built).problem
    build(built).check()
    load(built)


def test_another_graphs_engine_cannot_be_selected(built: Path) -> None:
    store = EngineStore(built)
    selected = store.selected().model_dump()
    graphs = selected["pairs"]["onnxruntime/fp16"]["graphs"]
    graphs["encode_clip"] = graphs["encode_images"]
    store.select(type(store.selected()).model_validate(selected))
    error = refusal(built, "encode_clip")
    assert "graph: built for encode_images, here is encode_clip" in error.problem


def test_an_engine_of_another_version_is_refused_with_both_named_and_built_again(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = platform.platform("onnxruntime").version
    real = platform.metadata.version
    monkeypatch.setattr(platform.metadata, "version", lambda name: "9.9.9" if name == "onnxruntime" else real(name))
    error = refusal(built)
    assert f"version: built for {here}, here is 9.9.9" in error.problem
    assert error.remedy == f"vsrt build {built} --backend onnxruntime --precision fp16"
    old = stored(built, "encode_images").folder
    report = build(built)
    report.check()
    assert {outcomes(report)[graph] for graph in BUILT} == {"built"}
    load(built)
    assert old.exists(), "int8 still uses it"


def test_retrained_weights_never_get_the_old_engines(built: Path, tmp_path: Path) -> None:
    other = retrained(built, tmp_path / "other.bundle", "weights_student.bin")
    assert "graph and weights: built for" in refusal(other).problem
    # The other graphs are what they were, but the whole step is another one: it has to be gated again.
    report = build(other)
    assert outcomes(report)["student"] == "built"
    assert stored(other, "student").identity.graph_sha256 != stored(built, "student").identity.graph_sha256
    load(other)


def test_other_scenes_calibrate_again_and_replace(built: Path) -> None:
    old = stored(built, "student", "onnxruntime/int8")
    report = build(built, "int8", recording(built, first_seed=50))
    report.check()
    new = stored(built, "student", "onnxruntime/int8")
    assert [difference.field for difference in old.identity.differences(new.identity)] == ["calibration_sha256"]
    assert not old.folder.exists()
    assert stored(built, "student").folder.exists()
    load(built, precision="int8")


def strict(graph: str, precision: str) -> Limits:
    return Limits(relative_l2=1e-9) if graph == "decode_clip" else Limits()


def judged_by(monkeypatch: pytest.MonkeyPatch, rule: Callable[[str, str], Limits]) -> None:
    for module in ("gating", "verdict"):
        monkeypatch.setattr(f"videoscene_rt.engines.building.{module}.limits", rule)


def test_an_engine_beyond_its_limit_is_refused_until_it_is_accepted(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        judged_by(patch, strict)
        report = build(built, recorder=NoRecording(built))
        with pytest.raises(
            BackendError, match=r"decode_clip is refused .*relative L2 of frames is .* on random-\d, limit 1e-09"
        ) as caught:
            report.check()
        assert caught.value.exit_code == 3
        assert "--accept" in (caught.value.remedy or "")
        assert report.chain.status == "not run"
        assert "graph decode_clip did not pass its accuracy gate: relative L2" in refusal(built, "decode_clip").problem
        assert "the whole step was stored without its accuracy gate" in refusal(built, "student").problem

        accepted = build(built, accept=True)
        accepted.check()
        assert stored(built, "decode_clip").record.gate.status == "accepted"
        assert stored(built, "student").record.gate.status == "passed"
        load(built, "decode_clip")
        build(built, recorder=NoRecording(built)).check()  # it stays accepted
        load(built, "decode_clip")
    build(built, recorder=NoRecording(built)).check()
    assert stored(built, "decode_clip").record.gate.status == "passed"


def test_a_step_beyond_its_limit_is_refused_end_to_end(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged_by(monkeypatch, lambda graph, precision: Limits(psnr=150) if graph == "chain" else Limits())
    with pytest.raises(BackendError, match=r"the whole step is refused .*: PSNR of frames is"):
        build(built, recorder=NoRecording(built)).check()
    assert "the whole step did not pass its accuracy gate: PSNR of frames" in refusal(built).problem


def spoilt(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Produced]:
    """`produce`, with one weight of encode_images' engine changed afterwards."""

    def make(order: Order, activations: Any, on_progress: Any) -> Produced:
        produced = produce(order, activations, on_progress)
        if order.graph == "encode_images":
            path = order.folder / "engine.onnx"
            model = onnx.load(path)
            tensor = max(model.graph.initializer, key=lambda initializer: np.prod(initializer.dims))
            array = change(onnx.numpy_helper.to_array(tensor).copy())
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
            for left in order.folder.iterdir():
                left.unlink()
            onnx.save(model, path)
        return produced

    return make


@pytest.mark.parametrize(
    ("change", "figure"),
    [(lambda weights: weights * 1.1, "relative L2"), (lambda weights: weights * np.inf, "count of NaN and infinities")],
    ids=["wrong", "infinite"],
)
def test_an_engine_that_computes_wrongly_does_not_pass(
    built: Path, monkeypatch: pytest.MonkeyPatch, change: Any, figure: str
) -> None:
    EngineStore(built).remove(stored(built, "encode_images").folder.name)
    monkeypatch.setattr(making, "produce", spoilt(change))
    with pytest.raises(
        BackendError, match=f"graph encode_images is refused by its accuracy gate: {figure} of (first|last) is"
    ):
        build(built).check()
    refusal(built, "encode_images")
    assert stored(built, "encode_images").record.gate.status == "refused"


def test_what_was_not_gated_is_not_loaded_until_it_is(built: Path) -> None:
    store = EngineStore(built)
    store.remove(stored(built, "student").folder.name)
    report = build(built, gate=False)
    report.check()
    assert (outcomes(report)["student"], report.chain.status) == ("built", "not run")
    assert "was stored without its accuracy gate" in refusal(built).problem
    report = build(built)
    report.check()
    assert outcomes(report)["student"] == "reused"
    load(built)


def test_force_builds_and_gates_again(built: Path) -> None:
    before = stored(built, "encode_stream").record.created
    report = build(built, force=True)
    report.check()
    assert {outcomes(report)[graph] for graph in BUILT} == {"built"}
    assert stored(built, "encode_stream").record.created >= before
    load(built)


_RACE = """
import sys
from pathlib import Path
from tests.support.built import build, outcomes
report = build(Path(sys.argv[1]), lock_timeout_s=200)
report.check()
print(*(outcome for outcome in outcomes(report).values()))
"""


def test_two_builds_at_once_make_every_engine_once(built: Path) -> None:
    store = EngineStore(built)
    store.remove(stored(built, "encode_images").folder.name)
    store.remove(stored(built, "decode_stream").folder.name)
    command = [sys.executable, "-c", _RACE, str(built)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    words = [process.communicate(timeout=300)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(outcome == "built" for outcomes in words for outcome in outcomes) == 2
    load(built, "encode_images")
    load(built, "decode_stream")


_KILLED = """
import os, sys, time
from pathlib import Path
from tests.support.built import build
from videoscene_rt.engines.building import making
def stop(order, activations, on_progress):
    (order.folder / "engine.onnx").write_bytes(b"half an engine")
    print("half", flush=True)
    time.sleep(100)
making.produce = stop
build(Path(sys.argv[1]), gate=False)
"""


def test_a_build_that_is_killed_leaves_nothing_that_loads_and_blocks_nobody(built: Path) -> None:
    EngineStore(built).remove(stored(built, "student").folder.name)
    process = subprocess.Popen([sys.executable, "-c", _KILLED, str(built)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    refusal(built)
    assert any(path.name.endswith(".partial") for path in (built / "engines").iterdir())
    report = build(built)
    report.check()
    assert outcomes(report)["student"] == "built"
    assert not any(path.name.endswith(".partial") for path in (built / "engines").iterdir())
    load(built)


def test_an_interrupted_build_goes_on_where_it_was(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(small_bundle, tmp_path / "mine.bundle"))

    def interrupted(order: Order, activations: Any, on_progress: Any) -> Produced:
        if order.graph == "encode_clip":
            raise KeyboardInterrupt
        return produce(order, activations, on_progress)

    with monkeypatch.context() as patch:
        patch.setattr(making, "produce", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(folder, gate=False)
    made = {name.rpartition("-")[0] for name in EngineStore(folder).names()}
    assert made == {"student", "encode_images"}
    assert not any(path.name.endswith(".partial") for path in (folder / "engines").iterdir())
    refusal(folder)
    found = outcomes(build(folder, gate=False))
    assert (found["student"], found["encode_images"], found["encode_clip"]) == ("reused", "reused", "built")


# TensorRT without a device: see `machine`.


def test_a_plan_is_for_one_gpu(plain: Path, machine: Callable[[Gpu | None], list[str]]) -> None:
    made = machine(ADA)
    build(plain, backend="tensorrt").check()
    assert located(plain, "student", "tensorrt").read() == b"plan of student"
    assert stored(plain, "student", "tensorrt/fp16").identity.attempt == {"level": 3}

    made = machine(Gpu("NVIDIA H100 80GB HBM3", "9.0"))
    with pytest.raises(BackendError) as caught:
        located(plain, "student", "tensorrt")
    assert "gpu: built for NVIDIA RTX 4000 Ada, here is NVIDIA H100 80GB HBM3" in caught.value.problem
    assert "compute capability: built for 8.9, here is 9.0" in caught.value.problem
    build(plain, backend="tensorrt").check()
    assert "student" in made
    assert located(plain, "student", "tensorrt").read() == b"plan of student"

    made = machine(ADA)  # the other machine's engines are still there
    build(plain, backend="tensorrt").check()
    assert made == []


def test_builder_options_are_part_of_the_identity(plain: Path, machine: Callable[[Gpu | None], list[str]]) -> None:
    machine(ADA)
    build(plain, backend="tensorrt", gate=False)
    old = stored(plain, "policy", "tensorrt/fp16")
    made = machine(ADA)
    build(plain, backend="tensorrt", gate=False, workspace_mib=512, level=1)
    new = stored(plain, "policy", "tensorrt/fp16")
    assert {d.field for d in old.identity.differences(new.identity)} == {"workspace_mib", "level"}
    assert "policy" in made
    assert not old.folder.exists()


def test_without_a_gpu_tensorrt_cannot_build(plain: Path, machine: Callable[[Gpu | None], list[str]]) -> None:
    machine(None)
    for changes in ({}, {"gate": False}):
        with pytest.raises(BackendError, match="tensorrt needs an NVIDIA GPU"):
            build(plain, backend="tensorrt", **changes)
    assert not (plain / "engines").exists()


def test_rtx_is_built_anywhere_and_gated_where_it_runs(plain: Path, machine: Callable[[Gpu | None], list[str]]) -> None:
    made = machine(None)
    with pytest.raises(BackendError, match="can be built here, but not gated") as caught:
        build(plain, backend="tensorrt-rtx")
    assert "--no-gate" in (caught.value.remedy or "")
    assert made == []
    build(plain, backend="tensorrt-rtx", gate=False).check()
    assert "student" in made
    with pytest.raises(BackendError, match="needs an NVIDIA GPU"):
        located(plain, "student", "tensorrt-rtx")

    made = machine(ADA)
    with pytest.raises(BackendError, match="was stored without its accuracy gate"):
        located(plain, "student", "tensorrt-rtx")
    build(plain, backend="tensorrt-rtx").check()
    assert made == []
    assert located(plain, "student", "tensorrt-rtx").read() == b"plan of student"

    machine(Gpu("NVIDIA RTX 3050", "8.6"))
    with pytest.raises(
        BackendError, match=r"was gated on NVIDIA RTX 4000 Ada \(8.9\), here is NVIDIA RTX 3050 \(8.6\)"
    ):
        located(plain, "student", "tensorrt-rtx")
    machine(Gpu("NVIDIA H100 80GB HBM3", "9.0"))
    with pytest.raises(BackendError, match=r"run on compute capability 8\.0, .*; NVIDIA H100 80GB HBM3 has 9\.0"):
        located(plain, "student", "tensorrt-rtx")


def test_a_pair_that_is_none_is_the_users_error(small_bundle: Path) -> None:
    with pytest.raises(InputError, match="'abacus'"):
        build(small_bundle, backend="abacus")
    with pytest.raises(InputError, match="'fp4'"):
        build(small_bundle, "fp4")


def test_a_decoder_is_built_rewritten(built_once: Path) -> None:
    """Doubling and convolution as one, in FP16; the bundle's own graph, which FP32 runs, stays as it was traced."""
    engine = stored(built_once, "decode_clip")
    graphs = {
        path: onnx.load(path, load_external_data=False).graph.node
        for path in (engine.path, built_once / "decode_clip.onnx")
    }
    rewritten, traced = ({node.op_type for node in nodes} for nodes in graphs.values())
    assert ("ConvTranspose" in rewritten, "Resize" in rewritten) == (True, False)
    assert ("ConvTranspose" in traced, "Resize" in traced) == (False, True)
    assert engine.record.messages[0].startswith("doubling and 3×3 convolution as one")


def test_the_identity_says_what_made_it(built_once: Path) -> None:
    engine = stored(built_once, "student")
    identity: EngineIdentity = engine.identity
    assert (identity.backend, identity.device, identity.precision) == ("onnxruntime", "cpu", "fp16")
    assert identity.calibration_sha256 == recording(built_once).digest
    assert engine.record.versions["onnxruntime"] == identity.backend_version
    assert load(built_once).identity == identity


def test_on_another_processor_the_same_files_are_gated_again(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """INT8 without VNNI saturates where INT8 with it does not: what one processor showed says nothing of the other."""
    monkeypatch.setattr(platform, "processor", lambda: "x86_64 avx2")
    problem = refusal(built).problem
    assert re.search(r"was gated on cpu \(.+\), here is cpu \(x86_64 avx2\)$", problem)
    report = build(built)
    report.check()
    assert set(outcomes(report).values()) <= {"reused", "source"}
    assert load(built).identity == stored(built, "student").identity


_STEP = """
import json, sys
from pathlib import Path
from tests.support.scenes import scene
from videoscene_rt import Pipeline
with Pipeline.load(sys.argv[1], precision="fp16", threads=1) as pipeline:
    pipeline.step(scene())
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def test_running_built_engines_loads_nothing_that_building_needs(built_once: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _STEP, str(built_once)], cwd=ROOT, capture_output=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "onnxruntime" in loaded
    assert loaded.isdisjoint({"onnx", "onnx_ir", "polygraphy", "torch", "filelock", "typer", "rich"})
