"""Equality of the real chain on the CPU, and of chains that are wrong in a known way: each check finds its fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videoscene_rt import Pipeline
from videoscene_rt.bench import equality_checks as checks
from videoscene_rt.bench.chain_scene import sources
from videoscene_rt.bench.equality import main
from videoscene_rt.bench.equality_checks import World


@pytest.fixture
def pipeline(small_bundle: Path) -> Iterator[Pipeline]:
    with Pipeline.load(small_bundle, threads=1) as found:
        yield found


@pytest.fixture
def world(pipeline: Pipeline) -> World:
    found = sources(pipeline.preset)
    return World(found[0].load(), found[1].load(), seed=0, steps=6)


class Result:
    """A result whose frames were tampered with."""

    def __init__(self, result: Any, change: Callable[[np.ndarray], None]) -> None:
        host = result.host()
        self.frames = host.frames.copy()
        change(self.frames)
        self.coarse, self.depth, self.hole_mask = host.coarse, host.depth, host.hole_mask

    def host(self) -> Result:
        return self


class Faulty:
    """A pipeline with a fault in ``step``: told how many steps it made, the real step, and what it was given."""

    def __init__(self, real: Pipeline, step: Callable[..., Any], **others: Any) -> None:
        self._real, self._step, self._count = real, step, -1
        self.__dict__.update(others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def step(self, given: Any, **options: Any) -> Any:
        self._count += 1
        return self._step(self._count, self._real, given, **options)


def flip(frames: np.ndarray) -> None:
    frames.reshape(-1)[-1] ^= 1


def test_the_program_proves_and_records(small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"bundle": str(small_bundle), "out": str(tmp_path), "steps": 3, "threads": 1}))
    assert main([str(request)]) == 0
    record = json.loads((tmp_path / "small.equality.onnxruntime.fp32.json").read_text())
    assert record["held"]
    by_name = {check["name"]: check for check in record["checks"]}
    for name in ("captured and stage by stage", "captured, and captured for device launches"):
        assert by_name[name]["held"] is None, "there is no graph on the CPU"
    assert [check["held"] for check in record["checks"]].count(True) == len(by_name) - 2
    seeds = by_name["another seed, and the first one again"]["digests"]
    assert seeds["first"] == seeds["again"] != seeds["other"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(by_name)
    assert sum(line.startswith("held: ") for line in lines) == len(by_name) - 2


def test_one_bit_in_one_step(pipeline: Pipeline, world: World) -> None:
    def step(count: int, real: Pipeline, given: Any, **options: Any) -> Any:
        found = real.step(given, **options)
        return Result(found, flip) if count == 4 else found

    check = checks.equal_steps(Faulty(pipeline, step), world)
    assert (check.held, check.said) == (False, "step 4: frames differs")


def test_a_seed_without_effect(pipeline: Pipeline, world: World) -> None:
    def step(count: int, real: Pipeline, given: Any, seed: int | None = None) -> Any:
        return real.step(given, seed=0)

    check = checks.other_seed(Faulty(pipeline, step), world)
    assert (check.held, check.said) == (False, "the frames are the same for another seed")


def test_a_seed_that_stays(pipeline: Pipeline, world: World) -> None:
    def step(count: int, real: Pipeline, given: Any, seed: int | None = None) -> Any:
        return real.step(given, seed=max(count, seed or 0))

    check = checks.other_seed(Faulty(pipeline, step), world)
    assert (check.held, check.said) == (False, "frames is not what it was")


def test_inputs_that_are_not_taken_in(pipeline: Pipeline, world: World) -> None:
    """What a stale graph would look like: a mapping is ignored."""

    def step(count: int, real: Pipeline, given: Any, **options: Any) -> Any:
        return real.step({} if isinstance(given, dict) else given, **options)

    check = checks.other_ways(Faulty(pipeline, step), world)
    assert not check.held
    assert check.said.startswith("arrays: ")


def test_points_that_stay_from_a_larger_cloud(pipeline: Pipeline, world: World) -> None:
    def step(count: int, real: Pipeline, given: Any, **options: Any) -> Any:
        return real.step(world.scene, **options)

    check = checks.other_scenes(Faulty(pipeline, step), world)
    assert (check.held, "half of the points gives the same coarse video" in check.said) == (False, True)


def test_a_binding_without_effect(pipeline: Pipeline, world: World) -> None:
    real_step = lambda count, real, given, **options: real.step(given, **options)  # noqa: E731
    faulty = Faulty(pipeline, real_step, bind=lambda name, array: None)
    check = checks.other_memory(faulty, world)
    assert not check.held
    assert "elsewhere: " in check.said


def test_a_slot_that_is_overwritten(pipeline: Pipeline, world: World) -> None:
    """Results that are another step's: what happens if slots share a buffer that they must not share."""
    first: list[Any] = []

    class Handle:
        def __init__(self, real: Any) -> None:
            self._real = real

        def __enter__(self) -> Handle:
            return self

        def __exit__(self, *error: object) -> None:
            self.release()

        def result(self) -> Any:
            found = self._real.result().copy()
            first.append(found)
            return first[0] if len(first) > 2 else found

        def release(self) -> None:
            self._real.release()

    def unused(count: int, real: Pipeline, given: Any) -> Any:
        raise AssertionError

    faulty = Faulty(pipeline, unused, submit=lambda given: Handle(pipeline.submit(given)))
    check = checks.in_flight(faulty, world)
    assert not check.held
    assert check.said.startswith("step 1: frames differs")


def test_exit_codes(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = tmp_path / "request.json"
    request.write_text(
        json.dumps({"bundle": str(small_bundle), "out": str(tmp_path), "steps": 2, "graphs": ["policy"]})
    )
    assert main([str(request)]) == 2
    assert "takes no graphs" in capsys.readouterr().err
    request.write_text(json.dumps({"bundle": str(small_bundle), "out": str(tmp_path), "steps": 2, "threads": 1}))
    real = Pipeline.step
    count = iter(range(10**6))

    def step(self: Pipeline, given: Any, **options: Any) -> Any:
        found = real(self, given, **options)
        return Result(found, flip) if next(count) % 2 else found

    monkeypatch.setattr(Pipeline, "step", step)
    assert main([str(request)]) == 1
    assert "FAILED: 2 equal steps" in capsys.readouterr().out
    assert not json.loads((tmp_path / "small.equality.onnxruntime.fp32.json").read_text())["held"]
