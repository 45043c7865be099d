"""What tests of faults run in a process of its own, beside the command line: the public Python face, as a program uses it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tests.support.documented import check_documented
from videoscene_rt import BackendError, InputError, Pipeline, Scene


def told(error: InputError | BackendError) -> int:
    """Say a documented error as it is, and give its exit code."""
    sys.stderr.write(f"error: {error.problem}\n")
    return error.exit_code


def load(arguments: dict[str, Any]) -> int:
    """Load a bundle, and step once where a scene is named; any error that is not a documented one is a traceback."""
    scene = arguments.pop("scene", None)
    try:
        with Pipeline.load(threads=1, **arguments) as pipeline:
            if scene is not None:
                pipeline.step(Scene.load(scene))
    except (InputError, BackendError) as error:
        return told(error)
    return 0


def read_scene(folder: str) -> int:
    """Load a scene."""
    try:
        Scene.load(folder)
    except (InputError, BackendError) as error:
        return told(error)
    return 0


def fork_after_load(arguments: dict[str, Any]) -> int:
    """Fork with a pipeline loaded, a step taken and another one under way; the child must be told so at once, and its own must work."""
    import os
    import signal

    import numpy as np

    scene = Scene.load(arguments["scene"])
    pipeline = Pipeline.load(arguments["bundle"], threads=2)
    before = pipeline.step(scene, seed=1).copy().frames
    handle = pipeline.submit(scene)
    pid = os.fork()
    if pid == 0:
        signal.alarm(40)
        uses: list[Callable[[], Any]] = [
            lambda: pipeline.step(scene),
            lambda: pipeline.submit(scene),
            lambda: pipeline.tensor("z_0"),
            lambda: pipeline.bind("xyz", None),
            lambda: pipeline.timeline(),
            lambda: pipeline.chain,
            lambda: pipeline.memory,
            lambda: handle.result(),
            lambda: handle.done,
        ]
        for use in uses:
            try:
                use()
            except BackendError as error:
                check_documented(error, words="forked")
            else:
                raise AssertionError("a pipeline of another process was used")
        handle.release()
        pipeline.close()
        with Pipeline.load(arguments["bundle"], threads=2) as own:
            assert np.array_equal(own.step(scene, seed=1).frames, before)
        del pipeline, handle
        sys.exit(0)  # the way that runs every destructor
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    assert np.array_equal(handle.result().frames, before)  # the parent's goes on
    handle.release()
    assert np.array_equal(pipeline.step(scene).frames, before)
    pipeline.close()
    return 0


def storm(arguments: dict[str, Any]) -> int:
    """Many threads use one pipeline in every way, and close it in the middle; nothing but documented errors, nothing wrong, no deadlock."""
    import random
    import threading
    from dataclasses import replace

    import numpy as np

    scene = Scene.load(arguments["scene"])
    scenes = [scene, replace(scene, images=255 - scene.images), replace(scene, rgb=255 - scene.rgb)]
    pipeline = Pipeline.load(arguments["bundle"], threads=1)
    each = [pipeline.step(given, seed=0).copy().frames for given in scenes]
    assert not any(np.array_equal(each[0], other) for other in each[1:]), "mixed frames would not show"
    wrong: list[str] = []
    right, closed = [0], threading.Event()

    def step(rng: random.Random) -> None:
        which = rng.randrange(len(scenes))
        frames = pipeline.step(scenes[which]).copy().frames
        right[0] += 1
        if not np.array_equal(frames, each[which]):
            wrong.append("frames of another step")

    def submit(rng: random.Random) -> None:
        which = rng.randrange(len(scenes))
        with pipeline.submit(scenes[which], timeout=rng.choice([0, 0.01, 1])) as handle:
            if rng.random() < 0.7:
                frames = handle.result(timeout=rng.choice([None, 0.0, 5])).copy().frames
                right[0] += 1
                if not np.array_equal(frames, each[which]):
                    wrong.append("frames of another step")

    ways: list[Callable[[random.Random], Any]] = [
        step,
        submit,
        lambda _: pipeline.tensor("z_0"),
        lambda _: pipeline.step("no scene"),  # type: ignore[arg-type]
        lambda _: pipeline.step(scene, seed=-1),
        lambda _: pipeline.timeline(1),
        lambda _: pipeline.memory,
    ]

    def work(number: int) -> None:
        rng = random.Random(number)
        while not closed.is_set():
            try:
                rng.choice(ways)(rng)
            except (InputError, BackendError) as error:
                if "\n" in error.problem:
                    wrong.append(error.problem)
            except BaseException as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(arguments["threads"])]
    for thread in threads:
        thread.start()
    closed.wait(arguments["seconds"])
    closers = [threading.Thread(target=pipeline.close, daemon=True) for _ in range(3)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(30)
    closed.set()
    for thread in threads:
        thread.join(30)
    alive = [thread.name for thread in (*threads, *closers) if thread.is_alive()]
    assert not alive, f"threads that never ended: {alive}"
    assert not wrong, wrong[:3]
    assert right[0] > 10, right
    with Pipeline.load(arguments["bundle"], threads=1) as again:
        assert np.array_equal(again.step(scene, seed=0).frames, each[0])
    return 0
