"""Several engines at a time: all of them made, the first failure told, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.building.played import ADA
from tests.support.built import BUILT, build, outcomes, stored
from videoscene_rt import BackendError, InputError
from videoscene_rt.engines.building import making
from videoscene_rt.engines.building.order import Order, Produced, Progress
from videoscene_rt.engines.building.progress import BuildProgress
from videoscene_rt.engines.building.side_by_side import StoppedError, Wanted, side_by_side
from videoscene_rt.engines.machine import Gpu

ROOT = Path(__file__).parents[3]


def left(folder: Path) -> list[str]:
    return [path.name for path in (folder / "engines").rglob("*") if path.name.endswith(".partial")]


def test_they_run_side_by_side_and_in_order_one_by_one() -> None:
    meet = threading.Barrier(3, timeout=20)

    def piece(number: int) -> Callable[[Wanted], int]:
        def work(wanted: Wanted) -> int:
            if number < 3:
                meet.wait()  # breaks where the three are not there at once
            return number

        return work

    assert side_by_side([piece(number) for number in range(5)], 3) == [0, 1, 2, 3, 4]
    order: list[int] = []
    side_by_side([lambda wanted, number=number: order.append(number) for number in range(4)], 1)
    assert order == [0, 1, 2, 3]
    assert side_by_side([], 4) == []


def test_the_first_failure_ends_the_others_and_is_the_one_that_is_told() -> None:
    ended, began = [], threading.Event()

    def long(wanted: Wanted) -> None:
        began.set()
        try:
            while True:
                wanted()
                time.sleep(0.01)
        except StoppedError:
            ended.append("long")
            raise

    def failing(wanted: Wanted) -> None:
        began.wait(20)
        raise BackendError("the builder refuses")

    def never(wanted: Wanted) -> None:
        ended.append("never")

    with pytest.raises(BackendError, match="the builder refuses"):
        side_by_side([long, failing, never], 2)
    assert ended == ["long"]


def test_progress_is_one_line_and_one_number() -> None:
    told: list[tuple[str, float]] = []
    progress = BuildProgress(("a", "b"), lambda words, done: told.append((words, done)))
    progress.at("a", "building", 0.25)
    progress.at("b", "deriving fp16", 0.5)
    progress.at("a", "building", 0.1)  # never backwards
    progress.leave("a", 0.8)
    progress.at("b", "building", 0.6)
    assert [words for words, _ in told] == [
        "a: building",
        "a: building, b: deriving fp16",
        "a: building, b: deriving fp16",
        "b: building",
    ]
    assert [done for _, done in told] == pytest.approx([0.25, 0.75, 0.75, 1.4])


@pytest.mark.parametrize("jobs", [0, -1, True, 1.5, 10_000])
def test_a_number_of_jobs_that_cannot_be_is_refused(small_bundle: Path, jobs: int) -> None:
    with pytest.raises(InputError, match="jobs must be a whole number from 1 to 256"):
        build(small_bundle, jobs=jobs)


def test_a_build_with_jobs_makes_what_one_without_does(plain: Path) -> None:
    report = build(plain, gate=False, jobs=3)
    report.check()
    assert {graph for graph, outcome in outcomes(report).items() if outcome == "built"} == set(BUILT)
    for graph in BUILT:
        stored(plain, graph).verify()
    assert left(plain) == []
    again = build(plain, gate=False)
    assert "built" not in outcomes(again).values()


def test_a_failure_among_several_keeps_what_is_whole_and_leaves_nothing_half(
    plain: Path, machine: Callable[[Gpu | None], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(ADA)
    began = threading.Event()

    def make(order: Order, activations: object, on_progress: Progress) -> Produced:
        (order.folder / "engine.plan").write_bytes(b"half a plan")
        if order.graph == "renderer":
            return Produced()
        if order.graph == "student":
            began.wait(20)
            raise BackendError("the builder died on the student")
        began.set()
        while True:
            on_progress("building", 0.5)
            time.sleep(0.01)

    monkeypatch.setattr(making, "produce", make)
    with pytest.raises(BackendError, match="the builder died on the student"):
        build(plain, backend="tensorrt", jobs=3)
    assert left(plain) == []
    assert not (plain / "engines" / "selected.json").exists()


_INTERRUPTED = """
import sys, time
from pathlib import Path
from tests.support.built import build
from videoscene_rt.engines.building import making, produce
from videoscene_rt.engines.tensorrt import supervisor
supervisor.build_plan.__defaults__ = (*supervisor.build_plan.__defaults__[:-1],
    (sys.executable, "-c", "import subprocess, sys, time; print(flush=True); subprocess.Popen(['sleep', '300']); time.sleep(300)"))
real = supervisor.listen
def listen(worker, scratch, on_progress):
    print("started", flush=True)
    return real(worker, scratch, on_progress)
supervisor.listen = listen
try:
    build(Path(sys.argv[1]), "fp32", backend="tensorrt-rtx", gate=False, jobs=2)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_ends_every_builder_and_leaves_nothing(plain: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, str(plain)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["started\n"] * 2
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    start = time.monotonic()
    assert process.stdout.readline() == "interrupted\n"
    assert process.wait(20) == 0
    assert time.monotonic() - start < 10
    assert left(plain) == []
    mine = [path for path in Path("/proc").glob("[0-9]*/environ") if str(plain) in _text(path)]
    assert mine == [], "no builder and nothing that one started"


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
