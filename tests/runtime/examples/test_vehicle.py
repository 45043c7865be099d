"""The example vehicle: its sensor, its loop over a fake pipeline, and the program as it is run."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.examples.fakes import FakePipeline
from tests.support.scenes import scene
from videoscene_rt import BackendError, Scene
from videoscene_rt.examples import vehicle
from videoscene_rt.examples.mailbox import Mailbox
from videoscene_rt.examples.vehicle import Drive, Log, perceive
from videoscene_rt.result import Result, Step
from videoscene_rt.scenes.scene_folder import save_scene

LINE = re.compile(
    r"produced (\d+), dropped (\d+), done (\d+), step p50 ([\d.]+) p99 ([\d.]+) ms, age p50 ([\d.]+) p99 ([\d.]+) ms, "
    r"(\d+) over ([\d.]+) ms, mean ([\d.]+) of the budget(: too slow for this rate, most sweeps were dropped)?\n"
)


class Everything(Mailbox[Scene]):
    """Keeps every message, for looking at what a sensor makes."""

    def __init__(self) -> None:
        super().__init__()
        self.scenes: list[Scene] = []

    def put(self, message: Scene) -> None:
        self.scenes.append(message)
        super().put(message)


class Used(Log):
    """Says when a result was used."""

    def __init__(self, budget: float) -> None:
        super().__init__(budget)
        self.used = threading.Event()

    def use(self, result: Result) -> None:
        super().use(result)
        self.used.set()


def driven(pipeline: FakePipeline, hz: float, seconds: float) -> tuple[Mailbox[Scene], Log]:
    mailbox, log = Mailbox[Scene](), Log(1000 / hz)
    sensor = threading.Thread(target=Drive(scene(), 9, hz, seconds).sense, args=(mailbox, threading.Event()))
    sensor.start()
    perceive(pipeline, mailbox, log)  # type: ignore[arg-type]
    sensor.join()
    return mailbox, log


def test_every_sweep_has_a_size_a_time_and_a_place_of_its_own() -> None:
    given, box = scene(points=2000), Everything()
    begin = time.monotonic_ns()
    Drive(given, 9, 100, 0.3).sense(box, threading.Event())
    took = (time.monotonic_ns() - begin) / 1e9
    assert took > 0.25
    assert box.produced == len(box.scenes) == 30
    sizes = [sweep.num_points for sweep in box.scenes]
    assert all(1400 <= size <= 2000 for size in sizes)
    assert len(set(sizes)) > 20
    stamps = [sweep.timestamp_ns or 0 for sweep in box.scenes]
    assert stamps == sorted(set(stamps))
    assert begin <= stamps[0]
    for earlier, later in zip(box.scenes, box.scenes[1:], strict=False):
        assert earlier.trajectory is not None
        assert later.trajectory is not None
        assert later.trajectory.shape == (9, 4, 4)
        assert np.array_equal(earlier.trajectory[1:], later.trajectory[:-1]), "one pose on with every cycle"
    first = box.scenes[0].trajectory
    assert first is not None
    assert np.array_equal(first[0], given.world_to_camera[0])


def test_the_vehicle_stops_at_once_when_it_is_told_to() -> None:
    box, stop = Mailbox[Scene](), threading.Event()
    sensor = threading.Thread(target=Drive(scene(), 9, 1, 60).sense, args=(box, stop))
    sensor.start()
    assert box.take() is not None
    stop.set()
    sensor.join(timeout=10)
    assert not sensor.is_alive()
    assert box.take() is None


def test_a_fast_pipeline_drops_nothing_and_reads_without_waiting_for_the_next_sweep() -> None:
    """Each sweep comes when the result of the one before was used: a loop that waited for it with a result in hand would wait for good."""
    pipeline, mailbox, log = FakePipeline(seconds=0.002), Mailbox[Scene](), Used(100)

    def sense() -> None:
        for _ in range(8):
            mailbox.put(scene())
            if not log.used.wait(20):
                mailbox.close(TimeoutError("a result waits to be used"))
                return
            log.used.clear()
        mailbox.close()

    sensor = threading.Thread(target=sense)
    sensor.start()
    perceive(pipeline, mailbox, log)  # type: ignore[arg-type]
    sensor.join()
    assert (mailbox.produced, mailbox.dropped, len(log.steps)) == (8, 0, 8)
    assert pipeline.most_held == 1


def test_a_slow_pipeline_gets_the_newest_and_never_holds_more_than_two_slots() -> None:
    pipeline = FakePipeline(seconds=0.06)
    mailbox, log = driven(pipeline, hz=100, seconds=0.5)
    assert mailbox.dropped > 0
    assert mailbox.produced == 50 == mailbox.dropped + len(log.steps)
    assert (pipeline.most_held, pipeline.most_running) == (2, 1)
    assert all(handle.released for handle in pipeline.handles)
    times = [handle.scene.timestamp_ns or 0 for handle in pipeline.handles]
    assert times == sorted(set(times)), "never back in time"
    waited = [handle.submitted - (handle.scene.timestamp_ns or 0) for handle in pipeline.handles]
    assert np.median(waited) < 40e6, "no sweep waited for longer than until the next one"


@pytest.mark.parametrize("number", [0, 2])
def test_a_step_that_fails_ends_the_loop_and_leaves_no_slot_of_its_own(number: int) -> None:
    pipeline = FakePipeline(0.03, lambda found: found == number, BackendError("the GPU has gone"))
    with pytest.raises(BackendError, match="the GPU has gone"):
        driven(pipeline, hz=100, seconds=0.5)
    assert len(pipeline.handles) == number + 1
    assert all(handle.released for handle in pipeline.handles)


def test_a_sensor_that_fails_ends_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise BackendError("the LiDAR has gone")

    monkeypatch.setattr(vehicle, "thin", broken)
    with pytest.raises(BackendError, match="the LiDAR has gone"):
        driven(FakePipeline(0.001), hz=100, seconds=0.1)


def test_the_line_is_the_percentiles_of_what_was_used() -> None:
    log = Log(budget=50)
    durations = [10.0] * 97 + [40.0, 60.0, 70.0]
    for number, duration in enumerate(durations):
        now = time.monotonic_ns()
        step = Step(number, "ok", 459, 0, 100, now - 500_000_000, now - round(duration * 1e6), now)
        log.use(Result(step, {}))
    found = LINE.fullmatch(log.line(120, 20) + "\n")
    assert found is not None
    produced, dropped, done, p50, p99, age50, _, late, budget, mean = (float(part) for part in found.groups()[:-1])
    assert (produced, dropped, done, late, budget) == (120, 20, 100, 2, 50)
    assert p50 == 10
    assert p99 == pytest.approx(np.percentile(durations, 99), abs=0.06)
    assert 500 <= age50 < 700
    assert mean == pytest.approx(np.mean(durations) / 50, abs=0.006)
    assert found[11] is None


def test_a_drive_that_drops_most_says_so_and_one_without_a_step_too() -> None:
    log = Log(budget=50)
    assert log.line(3, 2) == "produced 3, dropped 2, done 0"
    now = time.monotonic_ns()
    log.use(Result(Step(0, "ok", 459, 0, 100, None, now - 300_000_000, now), {}))
    assert log.line(7, 6).endswith(
        "1 over 50 ms, mean 6.00 of the budget: too slow for this rate, most sweeps were dropped"
    )


def program(*words: object) -> list[str]:
    return [sys.executable, "-m", "videoscene_rt.examples.vehicle", *map(str, words)]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(program(*words), capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("source", ["the room", "a folder"])
def test_the_program_drives_and_prints_one_line(small_bundle: Path, tmp_path: Path, source: str) -> None:
    words = [] if source == "the room" else ["--scene", save_scene(scene(), tmp_path / "scene")]
    done = run(small_bundle, "--hz", 20, "--seconds", 1, *words)
    assert (done.returncode, done.stderr) == (0, "")
    found = LINE.fullmatch(done.stdout)
    assert found is not None, done.stdout
    produced, dropped, steps = (int(part) for part in found.groups()[:3])
    assert produced == 20 == dropped + steps
    assert steps > 0


def test_by_a_deadline_every_sweep_that_is_taken_is_answered_in_time_or_coarse(small_bundle: Path) -> None:
    done = run(small_bundle, "--hz", 10, "--seconds", 1, "--deadline", 60_000)
    assert (done.returncode, done.stderr) == (0, "")
    assert LINE.fullmatch(done.stdout)
    done = run(small_bundle, "--hz", 50, "--seconds", 1, "--deadline", 0.001)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r", late \d+(: too slow|\n)", done.stdout), done.stdout
    assert " ok " not in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 2, "nowhere"),
        (["BUNDLE", "--hz", 0], 2, "--hz must be above 0"),
        (["BUNDLE", "--seconds", "nan"], 2, "--seconds above 0"),
        (["BUNDLE", "--deadline", "-1"], 2, "--deadline must be milliseconds"),
        (["BUNDLE", "--scene", "nowhere"], 2, "nowhere"),
        (["BUNDLE", "--backend", "abacus"], 2, "no backend 'abacus'"),
        (["BUNDLE", "--precision", "int8"], 3, "has no engine of graph"),
    ],
)
def test_errors_are_a_line_or_two_and_the_command_lines_exit_codes(
    small_bundle: Path, words: list[Any], code: int, said: str
) -> None:
    done = run(*(small_bundle if word == "BUNDLE" else word for word in words))
    assert done.returncode == code
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert len(lines) <= 2


ANNOUNCED = """
import sys
from videoscene_rt.examples import vehicle
perceive = vehicle.perceive
def announced(*arguments):
    print("driving", flush=True)
    perceive(*arguments)
vehicle.perceive = announced
sys.exit(vehicle.main(sys.argv[1:]))
"""


def test_an_interrupt_ends_the_drive_with_its_line(small_bundle: Path) -> None:
    words = [sys.executable, "-c", ANNOUNCED, str(small_bundle), "--seconds", "600"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "driving\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "error: interrupted\n")
    assert out.startswith("produced ")
    assert out.count("\n") == 1
