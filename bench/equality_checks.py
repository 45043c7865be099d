"""The checks of `videoscene_rt.bench.equality`: each runs steps on a loaded pipeline and compares every bit of every result."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.bench.chain_pipeline import RESULTS, Ways, digests, once, results
from videoscene_rt.bench.chain_scene import Arrays, whole_buffers
from videoscene_rt.bench.device_arrays import on_device
from videoscene_rt.scenes.scene import Scene

_IN_FLIGHT, _FLIGHTS = 2, 20
_SHIFT_M = 0.05


class Check(BaseModel):
    """One check: ``held`` is None where it was not made. ``digests``: SHA-256 of each result, by what gave it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    held: bool | None
    said: str = ""
    digests: dict[str, dict[str, str]] = Field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """What the checks share: two scenes, the seed that every pipeline is loaded with, and how many equal steps are many."""

    scene: Scene
    other: Scene
    seed: int
    steps: int


def equal_steps(pipeline: Any, world: World) -> Check:
    """Many steps on one scene."""
    name = f"{world.steps} equal steps, {_way(pipeline)}"
    first = results(pipeline.step(world.scene))
    for number in range(1, world.steps):
        odd = differing(first, results_in_place(pipeline.step(world.scene)))
        if odd:
            return Check(
                name=name, held=False, said=f"step {number}: {', '.join(odd)} differs", digests=_of(first=first)
            )
    return Check(name=name, held=True, digests=_of(first=first))


def other_seed(pipeline: Any, world: World) -> Check:
    """Another seed gives other frames and the same coarse video; the first seed gives the first frames again."""
    first = results(pipeline.step(world.scene, seed=world.seed))
    other = results(pipeline.step(world.scene, seed=world.seed + 1))
    again = results(pipeline.step(world.scene, seed=world.seed))
    wrong = ["the frames are the same for another seed"] if "frames" not in differing(first, other) else []
    wrong += [f"another seed changes {name}" for name in differing(first, other) if name != "frames"]
    wrong += [f"{name} is not what it was" for name in differing(first, again)]
    return _check("another seed, and the first one again", wrong, first=first, other=other, again=again)


def other_scenes(pipeline: Any, world: World) -> Check:
    """Half of the points, another scene, and the first one again."""
    first = results(pipeline.step(world.scene))
    half = results(pipeline.step(world.scene.thinned(max(1, world.scene.num_points // 2))))
    other = results(pipeline.step(world.other))
    again = results(pipeline.step(world.scene))
    wrong = [f"{what} gives the same coarse video" for what, found in (("half of the points", half), ("another scene", other))
             if "coarse" not in differing(first, found)]  # fmt: skip
    wrong += [f"{name} is not what it was" for name in differing(first, again)]
    return _check(
        "other numbers of points, and the first one again", wrong, first=first, half=half, other=other, again=again
    )


def other_ways(pipeline: Any, world: World) -> Check:
    """The same inputs as a scene, as NumPy arrays, in device memory and in page-locked memory."""
    ways = Ways.of(pipeline, world.scene)
    given: dict[str, Any] = {
        "arrays": whole_buffers(world.scene, pipeline.preset),
        "device": ways.device,
        "page-locked": ways.page_locked,
    }
    first = results(pipeline.step(world.scene))
    found = {}
    for name, inputs in given.items():
        pipeline.step(world.other)  # or a step that takes nothing in would pass
        found[name] = results(pipeline.step(inputs))
    wrong = [f"{what}: {', '.join(odd)} differs" for what, arrays in found.items() if (odd := differing(first, arrays))]
    return _check("the same inputs, given in every way", wrong, scene=first, **found)


def in_flight(pipeline: Any, world: World) -> Check:
    """Two scenes in turn, two steps under way at a time."""
    scenes = (world.scene, world.other)
    alone = [once(pipeline, scene) for scene in scenes]
    wrong: list[str] = []
    waiting: deque[tuple[int, Any]] = deque()

    def take() -> None:
        number, handle = waiting.popleft()
        odd = differing(alone[number % 2], results_in_place(handle.result()))
        handle.release()
        wrong.extend(f"step {number}: {name} differs" for name in odd)

    for number in range(_FLIGHTS):
        if len(waiting) == _IN_FLIGHT:
            take()
        waiting.append((number, pipeline.submit(scenes[number % 2])))
    while waiting:
        take()
    return _check(f"{_IN_FLIGHT} steps in flight, two scenes in turn", wrong, one=alone[0], other=alone[1])


def other_memory(pipeline: Any, world: World) -> Check:
    """The cloud bound to the caller's memory, to other memory with other points, and back. The pipeline is of no use afterwards."""
    buffers = whole_buffers(world.scene, pipeline.preset)
    moved = {**buffers, "xyz": buffers["xyz"] + np.float32(_SHIFT_M)}
    expected_moved = results(pipeline.step(moved))
    expected = results(pipeline.step(buffers))
    device = pipeline.chain.device
    mine, theirs = on_device(device, buffers["xyz"]), on_device(device, moved["xyz"])
    found = {}
    for name, array in (("bound", mine), ("elsewhere", theirs), ("back", mine)):
        pipeline.bind("xyz", array)
        found[name] = results(pipeline.step({}))
    wrong = [] if differing(expected, expected_moved) else ["moved points give the same pictures"]
    for name, wanted in (("bound", expected), ("elsewhere", expected_moved), ("back", expected)):
        wrong += [f"{name}: {result} differs" for result in differing(wanted, found[name])]
    return _check("bound to other memory, and back", wrong, copied=expected, moved=expected_moved, **found)


def same_as(reference: Arrays, pipeline: Any, world: World, name: str) -> Check:
    """This pipeline gives what another one gave."""
    found = results(pipeline.step(world.scene))
    return _check(
        name, [f"{result} differs" for result in differing(reference, found)], reference=reference, found=found
    )


ON_ONE_PIPELINE: tuple[Callable[[Any, World], Check], ...] = (
    in_flight, equal_steps, other_seed, other_scenes, other_ways, other_memory,
)  # fmt: skip
"""In this order: the last one leaves the pipeline bound."""


def differing(one: Arrays, other: Arrays) -> list[str]:
    """The names of the arrays that are not equal byte for byte."""
    return [name for name in one if not np.array_equal(_bytes(one[name]), _bytes(other[name]))]


def results_in_place(result: Any) -> Arrays:
    """A step's results on the host, without a copy of their own: valid until the next step."""
    on_host = result.host()
    return {name: getattr(on_host, name) for name in RESULTS}


def _bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


def _way(pipeline: Any) -> str:
    ways = {None: "stage by stage", "plain": "captured", "device-launch": "captured for device launches"}
    return ways[pipeline.chain.graph_form]


def _check(name: str, wrong: list[str], **arrays: Arrays) -> Check:
    return Check(name=name, held=not wrong, said="; ".join(wrong[:4]), digests=_of(**arrays))


def _of(**arrays: Arrays) -> dict[str, dict[str, str]]:
    return {name: digests(found) for name, found in arrays.items()}
