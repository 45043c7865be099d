"""A vehicle refines what it sees at 20 Hz: it takes the newest sweep, drops older ones, and reads a result while the next step runs.

A sensor thread makes a scene every cycle: the pair of photographs, a LiDAR sweep that is never the same size, the poses ahead of
the vehicle. The main thread runs the pipeline. python -m videoscene_rt.examples.vehicle BUNDLE [--hz 20] [--seconds 5] [--backend …]
With --deadline MS every sweep is answered so many milliseconds after it was seen, refined or with the coarse frames.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from videoscene_rt import InputError, Ladder, Pipeline, Result, Scene, VsrtError
from videoscene_rt.examples.mailbox import Mailbox
from videoscene_rt.scenes.clouds import thin
from videoscene_rt.scenes.room import procedural_room
from videoscene_rt.scenes.trajectory import between

LEG_S = 4.0
"""Seconds from where the first photograph was taken to where the second was; then the vehicle backs up again."""


@dataclass(frozen=True)
class Drive:
    """``seconds`` through a scene with ``hz`` sweeps a second, each to be seen from the ``frames`` poses ahead."""

    scene: Scene
    frames: int
    hz: float
    seconds: float

    def sense(self, mailbox: Mailbox[Scene], stop: threading.Event) -> None:
        """The sensor thread: puts a scene into the mailbox every cycle; closes it at the end, or with what went wrong."""
        try:
            there = between(self.scene.world_to_camera, self.scene.intrinsics, max(2, round(LEG_S * self.hz)))
            road = np.concatenate([there.world_to_camera, there.world_to_camera[::-1]])
            generator, begin = np.random.default_rng(0), time.monotonic()
            for cycle in range(round(self.seconds * self.hz)):
                if stop.wait(max(0.0, begin + cycle / self.hz - time.monotonic())):
                    break
                seen = time.monotonic_ns()
                points = round(generator.uniform(0.7, 1.0) * self.scene.num_points)
                xyz, rgb = thin(self.scene.xyz, self.scene.rgb, max(1, points))
                ahead = road.take(np.arange(cycle, cycle + self.frames), axis=0, mode="wrap")
                mailbox.put(replace(self.scene, xyz=xyz, rgb=rgb, trajectory=ahead, timestamp_ns=seen))
            mailbox.close()
        except Exception as error:  # whatever it is, the main thread raises it
            mailbox.close(error)


@dataclass
class Log:
    """Milliseconds of every cycle: the step's duration, and the age of its sweep when its result was used."""

    budget: float
    steps: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def use(self, result: Result) -> None:
        """Stands for the planner, which reads result.frames in place and is done with them when it returns."""
        self.steps.append(result.step.duration_ms)
        self.statuses[result.status] += 1
        self.ages.append((time.monotonic_ns() - (result.step.scene_timestamp_ns or result.step.started_ns)) / 1e6)

    def line(self, produced: int, dropped: int) -> str:
        """The drive in one line, with the steps that took longer than a period; openpilot wants a mean below 0.8 of one."""
        line = f"produced {produced}, dropped {dropped}, done {len(self.steps)}"
        if not self.steps:
            return line
        for name, times in (("step", self.steps), ("age", self.ages)):
            line += ", {} p50 {:.1f} p99 {:.1f} ms".format(name, *np.percentile(times, [50, 99]))
        over, mean = sum(step > self.budget for step in self.steps), np.mean(self.steps) / self.budget
        line += f", {over} over {self.budget:g} ms, mean {mean:.2f} of the budget"
        if self.statuses.keys() - {"ok"}:
            line += "".join(f", {status} {count}" for status, count in sorted(self.statuses.items()))
        return line + (": too slow for this rate, most sweeps were dropped" if 2 * dropped > produced else "")


def perceive(pipeline: Pipeline, mailbox: Mailbox[Scene], log: Log) -> None:
    """Until the mailbox is closed: at most one step in flight beside one whose result is being used, which is two slots."""
    running = None
    while True:
        if running is None:
            scene = mailbox.take()
            if scene is None:
                return
            running = pipeline.submit(scene)
        with running:  # gives its slot back at the end
            result = running.result()
            newest = mailbox.take(wait=False)
            following = None if newest is None else pipeline.submit(newest)  # runs while this result is used
            log.use(result)
        running = following


def perceive_by(pipeline: Pipeline, mailbox: Mailbox[Scene], log: Log, deadline_s: float) -> None:
    """Until the mailbox is closed: one step at a time, and its result by a deadline that counts from when the sweep was seen."""
    while (scene := mailbox.take()) is not None:
        age = (time.monotonic_ns() - (scene.timestamp_ns or 0)) / 1e9
        log.use(pipeline.step(scene, deadline=max(0.0, deadline_s - age)))


def drive(options: argparse.Namespace) -> None:
    """Load, drive, and print one line, whatever ends the drive."""
    if not (0 < options.hz <= 1000 and 0 < options.seconds <= 86400):
        raise InputError("--hz must be above 0 and at most 1000, --seconds above 0 and at most 86400")
    if options.deadline is not None and not 0 < options.deadline <= 1e6:
        raise InputError("--deadline must be milliseconds, above 0 and at most 1,000,000")
    scene = procedural_room(points=60_000) if options.scene is None else Scene.load(options.scene)
    mailbox, stop, log = Mailbox[Scene](), threading.Event(), Log(1000 / options.hz)
    ladder = None if options.deadline is None else Ladder()
    with Pipeline.load(options.bundle, options.backend, options.precision, ladder=ladder) as pipeline:
        scene = scene.thinned(pipeline.preset.max_points)
        way = Drive(scene, pipeline.preset.frames, options.hz, options.seconds)
        sensor = threading.Thread(target=way.sense, args=(mailbox, stop), name="sensor")
        sensor.start()
        try:
            if options.deadline is None:
                perceive(pipeline, mailbox, log)
            else:
                perceive_by(pipeline, mailbox, log, options.deadline / 1e3)
        finally:
            stop.set()
            sensor.join()
            sys.stdout.write(log.line(mailbox.produced, mailbox.dropped) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code, as the command line's: 0 done, 2 wrong input, 3 a backend or the machine, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="vehicle", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--hz", type=float, default=20.0, help="sweeps a second")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument(
        "--deadline", type=float, metavar="MS", help="from a sweep until its result is used; none if not given"
    )
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--scene", type=Path, help="a scene folder; the built-in room if not given")
    try:
        drive(parser.parse_args(argv))
    except VsrtError as error:
        sys.stderr.write(f"error: {error.problem}\n" + (f"  → {error.remedy}\n" if error.remedy else ""))
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
