"""The builder's process: its deaths are answered, its refusals told, and nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engines.tensorrt.fakes import WORKER, worker
from videoscene_rt.engines.tensorrt.attempts import ATTEMPTS, attempts
from videoscene_rt.engines.tensorrt.request import BuilderError, PlanRequest
from videoscene_rt.engines.tensorrt.supervisor import build_plan

SOURCES = ["EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"]


@pytest.fixture
def request_(tmp_path: Path) -> PlanRequest:
    (tmp_path / "out").mkdir()
    return PlanRequest(
        tmp_path / "g.onnx", tmp_path / "out" / "engine.plan", "tensorrt", "fp16", timing_cache=tmp_path / "timings"
    )


def left(request: PlanRequest) -> list[str]:
    return sorted(path.name for path in request.out.parent.rglob("*"))


def runs(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "runs").read_text().splitlines()]


def alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def gone_within(seconds: float, processes: list[int]) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, processes)):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_plan_is_built_at_the_first_attempt(request_: PlanRequest, tmp_path: Path) -> None:
    progress: list[tuple[str, float]] = []
    result = build_plan(request_, lambda *step: progress.append(step), worker=worker("builds", tmp_path))
    assert request_.out.read_bytes() == b"a plan"
    assert left(request_) == ["engine.plan"]
    assert result.attempt == {"tactic_sources": SOURCES, "level": 3}
    assert [tried.outcome for tried in result.tried] == ["built"]
    assert result.messages == ("WARNING: a warning of the builder's",)
    assert result.version == "8.6.1"
    assert set(progress) - {("starting", 0.0)} == {("building", 0.5)}


def test_a_crash_is_told_and_answered_with_the_next_attempt(
    request_: PlanRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[str] = []
    result = build_plan(request_, on_line=lines.append, worker=worker("dies once", tmp_path))
    assert request_.out.read_bytes() == b"a plan"
    assert left(request_) == ["engine.plan"]
    assert len(lines) == 1
    assert "SIGSEGV" in lines[0]
    assert "something" in lines[0]
    assert caplog.messages == lines, "whoever builds sees it, whatever the caller keeps of it"
    assert result.attempt == {"tactic_sources": ["JIT_CONVOLUTIONS"], "level": 3}
    assert [tried.outcome.split(":")[0] for tried in result.tried] == ["died", "built"]
    first, second = runs(tmp_path)
    assert first["timing_cache"] is not None
    assert second["timing_cache"] is None, "after a death the timing cache is suspect"


def test_a_fault_on_the_device_counts_as_a_death(request_: PlanRequest, tmp_path: Path) -> None:
    lines: list[str] = []
    result = build_plan(request_, on_line=lines.append, worker=worker("fault once", tmp_path))
    assert "illegal memory access" in lines[0]
    assert len(result.tried) == 2


def test_a_builder_that_always_dies_is_given_up(request_: PlanRequest, tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(BuilderError, match=r"died in each of 6 attempts.*SIGSEGV") as error:
        build_plan(request_, on_line=lines.append, worker=worker("dies", tmp_path))
    assert error.value.exit_code == 3
    assert len(lines) == len(error.value.tried) == len(ATTEMPTS["tensorrt"])
    assert [(run["tactic_sources"], run["level"]) for run in runs(tmp_path)] == [
        (SOURCES, 3),
        (["JIT_CONVOLUTIONS"], 3),
        (["EDGE_MASK_CONVOLUTIONS"], 3),
        ([], 3),
        ([], 1),
        ([], 0),
    ]
    assert left(request_) == []


def test_a_refusal_is_told_and_not_tried_again(request_: PlanRequest, tmp_path: Path) -> None:
    request_.out.write_bytes(b"an older plan")
    with pytest.raises(BuilderError, match=r"cannot build g\.onnx: tensorrt 8\.6\.1: .*Frobnicate") as error:
        build_plan(request_, worker=worker("refuses", tmp_path))
    assert error.value.remedy == "do without"
    assert error.value.messages == ("ERROR: no importer registered for op: Frobnicate",)
    assert len(runs(tmp_path)) == 1
    assert request_.out.read_bytes() == b"an older plan"
    assert left(request_) == ["engine.plan"]


@pytest.mark.parametrize(
    ("mode", "words", "remedy"),
    [
        ("killed", "was killed .SIGKILL.", "out of memory"),
        ("terminated", "was killed .SIGTERM.", "build again"),
        ("garbage", "ended with code 5 and without a plan.*terminate called", "--level"),
        ("claims", "ended with code 0 and without a plan", "--level"),
        ("refuses without help", "its builder fails: no tactics", "--workspace"),
    ],
)
def test_a_builder_that_ends_without_a_plan(
    mode: str, words: str, remedy: str, request_: PlanRequest, tmp_path: Path
) -> None:
    with pytest.raises(BuilderError, match=words) as error:
        build_plan(request_, lambda *_: None, worker=worker(mode, tmp_path))
    assert remedy in (error.value.remedy or "")
    assert len(runs(tmp_path)) == 1
    assert left(request_) == []


def test_garbage_between_events_is_left_out(request_: PlanRequest, tmp_path: Path) -> None:
    build_plan(request_, worker=worker("garbage, then builds", tmp_path))
    assert request_.out.read_bytes() == b"a plan"


def test_ctrl_c_leaves_no_process_and_no_file(request_: PlanRequest, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from videoscene_rt.engines.tensorrt.request import PlanRequest\n"
        "from videoscene_rt.engines.tensorrt.supervisor import build_plan\n"
        f"build_plan(PlanRequest(Path({str(request_.onnx)!r}), Path({str(request_.out)!r}), 'tensorrt', 'fp32'),\n"
        f"           worker=(sys.executable, {str(WORKER)!r}, 'hangs', {str(tmp_path)!r}))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    try:
        noted = tmp_path / "processes"
        end = time.monotonic() + 20
        while not (noted.exists() and noted.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        processes = [int(number) for number in noted.read_text().split()]
        assert all(map(alive, processes))
        parent.send_signal(signal.SIGINT)
        _, words = parent.communicate(timeout=10)
    finally:
        parent.kill()
    assert "KeyboardInterrupt" in words
    assert gone_within(5, processes)
    assert left(request_) == []


def test_a_silent_builder_is_told_of_again_and_what_the_listener_raises_ends_it(
    request_: PlanRequest, tmp_path: Path
) -> None:
    told: list[tuple[str, float]] = []

    def listen(phase: str, fraction: float) -> None:
        told.append((phase, fraction))
        if told.count(("building", 0.1)) == 3:
            raise LookupError("not wanted any more")

    with pytest.raises(LookupError, match="not wanted any more"):
        build_plan(request_, listen, worker=worker("hangs", tmp_path))
    assert gone_within(5, [int(word) for word in (tmp_path / "processes").read_text().split()])
    assert left(request_) == []


def test_the_worker_ends_when_its_parent_is_killed(request_: PlanRequest, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    os.mkfifo(request_.onnx)  # reading it waits for a writer that never comes
    script = (
        "from pathlib import Path\n"
        "from videoscene_rt.engines.tensorrt.request import PlanRequest\n"
        "from videoscene_rt.engines.tensorrt.supervisor import build_plan\n"
        f"build_plan(PlanRequest(Path({str(request_.onnx)!r}), Path({str(request_.out)!r}), 'tensorrt_rtx', 'fp32'), "
        "lambda phase, _: print(phase, flush=True))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline().strip() == "parsing"
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(children) == 1
    finally:
        parent.kill()
        parent.communicate()
    assert gone_within(5, [int(children[0])])


def test_no_attempt_is_made_twice_or_above_the_level_asked_for() -> None:
    assert [(step.tactic_sources, step.level) for step in attempts("tensorrt", 0)] == [
        (("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"), 0),
        (("JIT_CONVOLUTIONS",), 0),
        (("EDGE_MASK_CONVOLUTIONS",), 0),
        ((), 0),
    ]
    assert [step.level for step in attempts("tensorrt_rtx", 5)] == [5, 1, 0]
    assert [step.level for step in attempts("tensorrt_rtx", None)] == [3, 1, 0]
