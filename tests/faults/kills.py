"""Builds that are killed: ``python -m tests.faults.kills BUNDLE --times 200 --out RECORD.json``.

Each time a build of ONNX Runtime's engines in fp16 begins on what the last ones left (or on nothing, or with ``--force``) and is ended
by SIGKILL at a random point. What is left must be refused or right: no engine that is not the one of an undisturbed build, no lock.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.nursery import Nursery
from tests.support.scenes import scene
from videoscene_rt import BackendError
from videoscene_rt.engines.building.lock import build_lock
from videoscene_rt.engines.store.store import EngineStore
from videoscene_rt.scenes.scene_folder import save_scene

_LOCK_S = 5.0
_WHOLE_EVERY = 20


def _build(bundle: Path, *options: str) -> list[str]:
    return ["build", str(bundle), "--precision", "fp16", "--threads", "1", *options]


def frames(arguments: dict[str, Any]) -> int:
    """The digest of a step's frames on standard output, or the refusal; see `tests.faults.children`."""
    from tests.faults.children import told
    from videoscene_rt import InputError, Pipeline, Scene

    try:
        with Pipeline.load(arguments["bundle"], precision="fp16", threads=1) as pipeline:
            result = pipeline.step(Scene.load(arguments["scene"]), seed=0)
            sys.stdout.write(hashlib.sha256(result.frames.tobytes()).hexdigest())
    except (InputError, BackendError) as error:
        return told(error)
    return 0


def engines(bundle: Path) -> dict[str, dict[str, str]]:
    """What the store gives out as whole: engine → file → SHA-256."""
    store, found = EngineStore(bundle), {}
    for name in store.names():
        try:
            engine = store.open(name)
            engine.verify()
        except BackendError:
            continue
        found[name] = {file: entry.sha256 for file, entry in engine.record.files.items() if file != "identity.json"}
    return found


@dataclass
class Series:
    """Kills one after the other.

    Attributes:
        reached: how many ended the build before the kill did; states: what a load found afterwards, counted.
        left: how many kills left a folder that is not whole; problems: what must not be.
        slowest_lock_s: to get the lock after a kill.
    """

    nursery: Nursery
    whole: Path
    where: Path
    rng: random.Random
    reached: int = 0
    killed: int = 0
    left: int = 0
    slowest_lock_s: float = 0.0
    states: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """An undisturbed build, to compare with and to learn how long it takes."""
        self.scene = save_scene(scene(), self.where / "scene")
        self.bundle = self.where / "b.bundle"
        shutil.copytree(self.whole, self.bundle)
        ended = self.nursery.vsrt(*_build(self.bundle))
        assert ended.code == 0, ended.err
        self.seconds = ended.seconds
        self.right = engines(self.bundle)
        self.frames = self._load()
        assert self.frames[0] == 0, self.frames
        assert len(self.right) == 6

    def kill(self, number: int) -> None:
        """One build and one kill, and what is left looked at."""
        how = self.rng.choice(["on nothing", "on nothing", "on what is left", "--force", "--force"])
        store = self.bundle / "engines"
        if how == "on nothing":
            shutil.rmtree(store, ignore_errors=True)
        if how == "--force" and not (store / "selected.json").exists():
            self.mend(number)  # so that there is something in use to be replaced
        options = ("--force",) if how == "--force" else ()
        after = self.rng.uniform(0, self.seconds * 1.1)
        ended = self.nursery.call("tests.support.nursery_child:vsrt", _build(self.bundle, *options), kill_after_s=after)
        if ended.code == -9:
            self.killed += 1
        else:
            self.reached += 1
            if ended.code != 0:
                self._problem(number, how, f"the build ended with {ended.code}: {ended.err[-300:]}")
        self._look(number, how)
        if (number + 1) % _WHOLE_EVERY == 0:
            self.mend(number)

    def _look(self, number: int, how: str) -> None:
        for name, files in engines(self.bundle).items():
            if self.right.get(name) != files:
                self._problem(number, how, f"engine {name} is given out and is not the right one")
        code, said = self._load()
        if code == 0 and said != self.frames[1]:
            self._problem(number, how, "other frames than an undisturbed build's")
        if code not in (0, 3):
            self._problem(number, how, f"a load ended with {code}: {said}")
        self.states["loads, the same bits" if code == 0 else f"refused: {said}"] += 1
        store = self.bundle / "engines"
        if not store.is_dir():
            return
        self.left += any(path.name.endswith(".partial") for path in store.iterdir())
        began = time.monotonic()
        try:
            with build_lock(store, _LOCK_S):
                pass
        except BackendError as error:
            self._problem(number, how, f"the lock stayed: {error.problem}")
        self.slowest_lock_s = max(self.slowest_lock_s, time.monotonic() - began)

    def mend(self, number: int) -> None:
        """An undisturbed build on what is left: it goes on from there, and leaves nothing but engines."""
        ended = self.nursery.vsrt(*_build(self.bundle))
        if ended.code != 0:
            self._problem(number, "undisturbed", ended.err[-300:])
        elif self._load() != self.frames or engines(self.bundle) != self.right:
            self._problem(number, "undisturbed", "not the same engines and frames")
        rest = [path.name for path in (self.bundle / "engines").iterdir() if path.name.endswith(".partial")]
        if rest:
            self._problem(number, "undisturbed", f"left behind: {rest}")

    def _load(self) -> tuple[int, str]:
        ended = self.nursery.call("tests.faults.kills:frames", {"bundle": str(self.bundle), "scene": str(self.scene)})
        if ended.code == 0:
            return 0, ended.out
        lines = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        words = lines[0].removeprefix("error: ") if lines else ended.err[-300:]
        for graph in ("student", "encode_images", "encode_clip", "encode_stream", "decode_clip", "decode_stream"):
            words = words.replace(graph, "…")
        return ended.code, words.replace(str(self.bundle), "BUNDLE").split("-", 1)[
            0
        ] if "engines/" in words else words.replace(str(self.bundle), "BUNDLE")

    def _problem(self, number: int, how: str, words: str) -> None:
        self.problems.append(f"kill {number} ({how}): {words}")


def series(bundle: Path, times: int, seed: int, nursery: Nursery) -> Series:
    """So many kills of builds that had not ended."""
    with tempfile.TemporaryDirectory() as folder:
        made = Series(nursery, bundle, Path(folder), random.Random(seed))
        made.prepare()
        for number in range(3 * times):  # a build that ends before its kill does not count
            if made.killed == times:
                break
            made.kill(number)
        made.mend(3 * times)
        return made


def main() -> int:
    """Write the record; 0 where nothing went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    told = parser.parse_args()
    began = time.time()
    with Nursery() as nursery:
        made = series(told.bundle, told.times, told.seed, nursery)
    record = {
        "what": "builds ended by SIGKILL at random points (python -m tests.faults.kills)",
        "date": time.strftime("%Y-%m-%d", time.gmtime(began)),
        "seconds": round(time.time() - began, 1),
        "cores": os.cpu_count(),
        "undisturbed_build_s": round(made.seconds, 2),
        "seed": told.seed,
        "killed_while_building": made.killed,
        "ended_before_the_kill": made.reached,
        "left_something_half": made.left,
        "slowest_lock_after_a_kill_s": round(made.slowest_lock_s, 3),
        "loads_afterwards": dict(made.states.most_common()),
        "problems": made.problems,
    }
    told.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return 1 if made.problems else 0


if __name__ == "__main__":
    sys.exit(main())
