"""A pipeline that takes its time and watches how it is used."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from videoscene_rt import Scene
from videoscene_rt.result import Result, Step


class FakeHandle:
    """A step that is done ``seconds`` after it was submitted."""

    def __init__(self, pipeline: FakePipeline, scene: Scene, number: int) -> None:
        self.pipeline, self.scene, self.number = pipeline, scene, number
        self.submitted = time.monotonic_ns()
        self.read = self.released = False

    def result(self, timeout: float | None = None) -> Result:
        assert not self.released
        assert timeout is None
        self.read = True
        time.sleep(max(0.0, self.pipeline.seconds - (time.monotonic_ns() - self.submitted) / 1e9))
        if self.pipeline.fails(self.number):
            raise self.pipeline.error
        step = Step(
            number=self.number,
            status="ok",
            timestep=459,
            seed=0,
            num_points=self.scene.num_points,
            scene_timestamp_ns=self.scene.timestamp_ns,
            started_ns=self.submitted,
            finished_ns=time.monotonic_ns(),
        )
        return Result(step, {"frames": np.zeros((1, 1, 1, 3), np.uint8)})

    def __enter__(self) -> FakeHandle:
        return self

    def __exit__(self, *_: Any) -> None:
        self.released = True


class FakePipeline:
    """`submit` of `Pipeline` with two slots; a third step at a time is a failure of the test.

    Args:
        seconds: of every step.
        fails: whether a step fails, by its number.
        error: what it then raises.
    """

    def __init__(
        self, seconds: float, fails: Callable[[int], bool] = lambda number: False, error: Exception | None = None
    ) -> None:
        self.seconds, self.fails, self.error = seconds, fails, error or RuntimeError()
        self.handles: list[FakeHandle] = []
        self.most_running = self.most_held = 0

    def submit(self, scene: Scene) -> FakeHandle:
        handle = FakeHandle(self, scene, len(self.handles))
        self.handles.append(handle)
        held = [each for each in self.handles if not each.released]
        assert len(held) <= 2
        self.most_held = max(self.most_held, len(held))
        self.most_running = max(self.most_running, sum(not each.read for each in held))
        return handle
