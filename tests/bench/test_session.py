"""A session on a GPU machine, rehearsed on the CPU: what is done stays done, what is cut off runs again, results are always there."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.support.presets import SMALL
from videoscene_rt.bench.h100 import tasks
from videoscene_rt.bench.h100.run import main
from videoscene_rt.bench.h100.tasks import Session, Task

QUICK = '{"warmup_iterations": 1, "warmup_s": 0, "iterations": 3, "seconds": 0}'


def session(tmp_path: Path, seconds: float = 60, **options: bool) -> Session:
    return Session(tmp_path, time.monotonic() + seconds, **options)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    task = Task("one", python(f"open({str(count)!r}, 'a').write('x')"))
    assert session(tmp_path).run(task)
    assert session(tmp_path).run(task)
    assert count.read_text() == "x"


def test_what_failed_waits_to_be_asked(tmp_path: Path) -> None:
    count = tmp_path / "count"
    task = Task("one", python(f"open({str(count)!r}, 'a').write('x'); raise SystemExit(3)"))
    assert not session(tmp_path).run(task)
    assert not session(tmp_path).run(task)
    assert not session(tmp_path, retry=True).run(task)
    assert count.read_text() == "xx"


@pytest.mark.parametrize(
    ("output", "status"),
    [('{"records": {"policy": "r.json"}}', "partly"), ('{"records": {}}', "failed"), ("error", "failed")],
)
def test_a_measurement_that_failed_for_some_graphs_is_partly_done(tmp_path: Path, output: str, status: str) -> None:
    command = python(f"print({output!r}); raise SystemExit(3)")
    first = session(tmp_path)
    assert first.run(Task("one", command, partly=True)) == first.done("one") == (status == "partly")
    assert first.state["one"]["status"] == status
    assert not first.run(Task("two", command))


def test_what_the_deadline_stops_runs_again(tmp_path: Path) -> None:
    task = Task("one", python("import time; time.sleep(60)"))
    begin = time.monotonic()
    assert not session(tmp_path, 5.5).run(task)
    assert time.monotonic() - begin < 5
    assert session(tmp_path).state["one"]["status"] == "cut off"
    assert session(tmp_path).run(Task("one", python("pass")))


def test_a_background_task_outlives_the_call(tmp_path: Path) -> None:
    task = Task("build", python("import time; time.sleep(0.5); raise SystemExit(3)"))
    first = session(tmp_path)
    assert first.settle(task) == "not started"
    first.start(task)
    assert session(tmp_path).settle(task) == "running"
    second = session(tmp_path)
    second.start(task)  # not a second time
    deadline = time.monotonic() + 20
    while second.settle(task) == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert second.settle(task) == "failed"
    assert second.state["build"]["code"] == 3


def test_a_background_task_that_ends_while_it_is_asked_after_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes its code and ends between the two looks: for its code, and whether it is alive."""
    task, asked = Task("build", python("import time; time.sleep(0.3)")), session(tmp_path)
    asked.start(task)
    looked = tasks._alive

    def ends(pid: int) -> bool:
        while looked(pid):
            time.sleep(0.01)
        return False

    monkeypatch.setattr(tasks, "_alive", ends)
    assert asked.settle(task) == "done"


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("LAB_PYTHON", "TORCH_PYTHON"):
        monkeypatch.setenv(variable, shlex.quote(sys.executable))
    monkeypatch.delenv("ORT_PYTHON", raising=False)
    path = tmp_path / "small.json"
    path.write_text(SMALL.model_dump_json())
    return path


@pytest.mark.slow
def test_a_rehearsal_measures_and_collects(preset: Path, small_bundle: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "small.bundle").symlink_to(small_bundle)
    (work / "state.json").write_text('{"export.small": {"status": "done"}}')
    arguments = [
        "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--presets", str(preset), "--backend", "onnxruntime",
        "--precisions", "fp32", "--torch-precisions", "fp32", "--torch-modes", "eager", "--device", "cpu", "--settings", QUICK,
        "--subject", "onnxruntime fp32 enqueue", "--phases", "export,engines,torch,ort,warm",
    ]  # fmt: skip
    assert main(arguments) == 0
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["results.tar.gz", "state.json", "table.md"]
    state = json.loads((out / "state.json").read_text())
    assert {entry["status"] for entry in state.values()} == {"done"}
    table = (out / "table.md").read_text()
    assert "| student | torch fp32 eager |" in table
    with tarfile.open(out / "results.tar.gz") as archive:
        names = archive.getnames()
    assert {
        "records/small.student.onnxruntime.fp32.enqueue.json", "logs/engine_bench.small.fp32.enqueue.log", "state.json", "table.md",
    } <= set(names)  # fmt: skip
    begin = time.monotonic()
    assert main(arguments) == 0
    assert time.monotonic() - begin < 5


def test_a_session_in_which_nothing_works_still_ends(
    preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_PYTHON", "/bin/false")
    code = main(
        ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--presets", str(preset), "--minutes", "0.5"]
    )
    assert code == 3
    assert json.loads((tmp_path / "out" / "state.json").read_text())["export.small"]["status"] == "failed"


def test_the_phases_call_each_interpreter_for_its_own_work(
    preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-ins for the interpreters write down what they were asked."""
    asked = tmp_path / "asked"
    for variable in ("LAB_PYTHON", "TORCH_PYTHON", "ORT_PYTHON"):
        script = tmp_path / variable
        script.write_text(f'#!/bin/sh\necho "{variable} $*" >> {asked}\n')
        script.chmod(0o755)
        monkeypatch.setenv(variable, str(script))
    arguments = [
        "--work",
        str(tmp_path / "work"),
        "--out",
        str(tmp_path / "out"),
        "--presets",
        str(preset),
        "--minutes",
        "1",
    ]
    assert main(arguments) == 0
    lines = [line for line in asked.read_text().splitlines() if ".compare " not in line and ".chain_table " not in line]
    bundle = tmp_path / "work" / "small.bundle"
    main_module, bench = "-m videoscene_rt.cli.main", "-m videoscene_rt.bench"
    build = f"LAB_PYTHON {main_module} build {bundle} --backend tensorrt --precision"
    expected = [
        f"TORCH_PYTHON {main_module} export --preset {preset} --out {bundle} --json --force",
        *[f"{build} {precision} --json" for _ in ("build", "rebuild") for precision in ("fp16", "int8")],
        *[f"LAB_PYTHON {bench}.engine_bench"] * 4,
        *[f"TORCH_PYTHON {bench}.torch_baseline"] * 3,
        *[f"ORT_PYTHON {bench}.ort_cuda"] * 2,
        *[f"LAB_PYTHON {bench}.warm_start"] * 2,
        f"LAB_PYTHON {bench}.h100.corrupt {bundle} tensorrt fp16",
    ]
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)
    requests = sorted((tmp_path / "work" / "requests").glob("engine_bench.*.json"))
    assert [json.loads(path.read_text())["mode"] for path in requests] == ["cuda-graph", "enqueue"] * 2


def test_the_chain_session_calls_each_interpreter_for_its_own_work(
    preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, with an engine pair selected and a kernel library in place as if they had been built."""
    asked = tmp_path / "asked"
    for variable in ("LAB_PYTHON", "TORCH_PYTHON"):
        script = tmp_path / variable
        script.write_text(f'#!/bin/sh\necho "{variable} $*" >> {asked}\n')
        script.chmod(0o755)
        monkeypatch.setenv(variable, str(script))
    work, out, timings = tmp_path / "work", tmp_path / "out", tmp_path / "timings"
    bundle = work / "small.bundle"
    (bundle / "engines").mkdir(parents=True)
    (bundle / "engines" / "selected.json").write_text('{"pairs": {"tensorrt/fp16": {}, "onnxruntime-cuda/fp16": {}}}')
    (work / "kernels").mkdir()
    library = work / "kernels" / "libvideoscene_rt_kernels.so"
    library.touch()
    (timings / "small").mkdir(parents=True)
    (timings / "small" / "timing-0.cache").write_bytes(b"timings")
    (timings / "timing-1.cache").write_bytes(b"of another preset")
    arguments = [
        "--work", str(work), "--out", str(out), "--presets", str(preset), "--minutes", "1", "--session", "chain",
        "--also", "onnxruntime-cuda:fp16", "--build-options", "--jobs 6 --level 1", "--beside", "--timings", str(timings),
        "--source", str(tmp_path), "--tests", "tests/gpu -x", "--steps", "77",
    ]  # fmt: skip
    assert main(arguments) == 0
    lines = [line for line in asked.read_text().splitlines() if ".chain_table " not in line]
    main_module, bench = "-m videoscene_rt.cli.main", "-m videoscene_rt.bench"
    build = f"LAB_PYTHON {main_module} build {bundle} --backend"
    builds = [
        f"{build} tensorrt --precision fp16 --json --jobs 6 --level 1",
        f"{build} tensorrt --precision int8 --json --jobs 6 --level 1",
        f"{build} onnxruntime-cuda --precision fp16 --json",
    ]
    gputests = f"{tmp_path} {bundle} {work}/records/gputests"
    expected = [
        f"TORCH_PYTHON {main_module} export --preset {preset} --out {bundle} --json --force",
        *builds,
        f"LAB_PYTHON {bench}.h100.kernels {tmp_path} {work}/kernels {work}/records/kernels.json",
        f"LAB_PYTHON {bench}.h100.gputests {gputests}.lab.json tests/gpu -x",
        f"TORCH_PYTHON {bench}.h100.gputests {gputests}.torch.json tests/gpu -x",
        *builds,
        f"LAB_PYTHON {bench}.splat_bench {work}/requests/splat.json",
        *[f"LAB_PYTHON {bench}.chain_bench"] * 2,
        *[f"TORCH_PYTHON {bench}.torch_step"] * 2,
        *[f"LAB_PYTHON {bench}.equality"] * 2,
    ]
    # The builds run in the background, beside the phase kernels.
    assert sorted(lines[1:5]) == sorted(expected[1:5])
    for line, start in zip(lines[:1] + lines[5:], expected[:1] + expected[5:], strict=True):
        assert line.startswith(start)
    told = {path.stem: json.loads(path.read_text()) for path in (work / "requests").iterdir()}
    assert told["torch_step.small.eager"]["kernels"] == str(library)
    assert told["chain_bench.small.tensorrt.fp16"]["settings"] == {"iterations": 77, "seconds": 0.0}
    assert (bundle / "engines" / "timing-0.cache").read_bytes() == b"timings"
    assert not (bundle / "engines" / "timing-1.cache").exists()
    with tarfile.open(out / "results.tar.gz") as archive:
        assert "timings/small/timing-0.cache" in archive.getnames()
    rebuilds = json.loads((work / "records" / "rebuild.json").read_text())["rebuilds"]
    assert set(rebuilds) == {"small.tensorrt.fp16", "small.tensorrt.int8", "small.onnxruntime-cuda.fp16"}


def test_a_rehearsal_of_the_chain_session(preset: Path, small_bundle: Path, tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    shutil.copytree(small_bundle, work / "small.bundle")
    (work / "state.json").write_text('{"export.small": {"status": "done"}}')
    arguments = [
        "--work", str(work), "--out", str(out), "--presets", str(preset), "--rehearse", "--steps", "3",
        "--phases", "export,build,wait,rebuild,chain,torch_step,equality",
    ]  # fmt: skip
    assert main(arguments) == 0
    state = json.loads((out / "state.json").read_text())
    assert {entry["status"] for entry in state.values()} == {"done"}
    table = (out / "table.md").read_text()
    assert "| onnxruntime fp32 chain-enqueue | step.scene | 3 |" in table
    assert "| torch fp32 eager | host | 3 |" in table
    assert "- held: 3 equal steps, stage by stage" in table
    assert main([*arguments[:-1], "build,chain,torch_step,equality"]) == 0, "what is done is not done again"


def test_a_phase_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--work", str(tmp_path), "--out", str(tmp_path), "--phases", "export,nonesuch"])
    assert "there is no phase 'nonesuch'" in capsys.readouterr().err
