"""A step as it was asked for, and what is known of it once it has begun."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from videoscene_rt.counters import Tally
from videoscene_rt.engines.halves import Half
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.split_run import Deadline
from videoscene_rt.watchdog import Watched


@dataclass(frozen=True)
class Asked:
    """A step that a caller asks for; see `Pipeline.step` and `Pipeline.submit`.

    Attributes:
        given: a scene, or input tensors by name.
        seed: of the noise to draw first; None keeps what there is.
        stream: on which device arrays are made.
        timeout: seconds to wait for a slot; None waits for as long as it takes.
        aside: where the host is the device: on a thread, instead of here and now.
        deadline: of its result.
        decoder: one that is loaded; None takes the first.
        chunks: in chunks, so that the handle's run is a `StreamRun`.
        called: when the user's call came, on the host's monotonic clock.
        free: called when everything that was given is found right: it gives back what stays until the next step begins.
    """

    given: Scene | Mapping[str, Any]
    seed: int | None
    stream: Any
    timeout: float | None
    aside: bool
    called: int
    free: Callable[[], None]
    deadline: Deadline | None = None
    decoder: Half | None = None
    chunks: bool = False


@dataclass(frozen=True)
class Begun:
    """A step that was put onto the chain. It keeps nothing of the scene but what the step itself still reads.

    Attributes:
        number, seed, num_points, scene_timestamp_ns, started_ns, reloads: see `videoscene_rt.result.Step`.
        slot: where it lies.
        way: another way of the chain's plan than the whole step.
        inputs: what it was given, by name; emptied when its result is made.
        watched: what the watchdog knows it by.
        tally: counts what becomes of it.
    """

    number: int
    seed: int
    num_points: int | None
    scene_timestamp_ns: int | None
    started_ns: int
    reloads: int
    slot: int
    way: str | None
    inputs: dict[str, Any]
    watched: Watched | None
    tally: Tally
