"""Swapping bundles: whether a new one takes the same arrays, and whether it works, before the old one is let go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.description import ChainPlan
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.preset import Preset

if TYPE_CHECKING:
    from videoscene_rt.pipeline import Pipeline
    from videoscene_rt.result import Result

_POINTS = 4096
_DEADLINE_S = 60.0
_LEFT = "the pipeline goes on with the bundle that it has"


def check_same_sizes(old: ChainPlan, new: ChainPlan) -> None:
    """Whether both take and give the same arrays, and have both decoders where one has, so that callers need not know which one runs.

    Raises:
        InputError: they do not; it names the first that differs.
    """
    have, want = (
        {buffer.name: f"{buffer.dtype}{list(buffer.shape)}" for buffer in plan.of_role("input", "result")}
        for plan in (new, old)
    )
    for name, wanted in want.items():
        if have.get(name) != wanted:
            raise InputError(
                f"the new bundle's {name} is {have.get(name, 'missing')}, this pipeline's is {wanted}",
                f"load a bundle of another size beside it: Pipeline.load(bundle); {_LEFT}",
            )
    missing = [name for name in old.decoders if name not in new.decoders]
    if missing and len(old.decoders) > 1:  # calls may name either
        raise InputError(f"the new bundle has no decoder {missing[0]!r}, and this pipeline has both", _LEFT)


def take_over(old: Chain, new: Chain) -> bool:
    """Bind in the new chain what the user bound in the old one; whether there was something that it did not have yet.

    Raises:
        BackendError: an engine refuses the address.
    """
    missing = [
        name for name in sorted(old.bound) if name not in new.bound or old.view(name).pointer != new.view(name).pointer
    ]
    for name in missing:
        new.bind(name, old.view(name))
    return bool(missing)


def self_test(pipeline: Pipeline) -> None:
    """Three steps on a made-up scene: finite, something drawn, and equal bits for equal input.

    Raises:
        BackendError: it does not work.
    """
    given = made_up_inputs(pipeline.preset)
    first = _kept(pipeline.step(given))
    second = _kept(pipeline.step(given))
    for name, array in first.items():
        if not np.array_equal(array, second[name]):
            raise BackendError(f"the new bundle's self-test failed: two equal steps differ in {name}", _LEFT)
    if pipeline.counters.rung is not None:
        third = pipeline.step(given, deadline=_DEADLINE_S)
        if third.status in ("ok", "degraded") and not np.array_equal(_kept(third)["coarse"], first["coarse"]):
            raise BackendError("the new bundle's self-test failed: rendered alone, the coarse frames differ", _LEFT)


def made_up_inputs(preset: Preset) -> dict[str, Any]:
    """A cloud before cameras that stand in one place, in the preset's sizes: the chain's inputs by name."""
    draw = np.random.default_rng(0)
    height, width, frames = preset.height, preset.width, preset.frames
    points = min(_POINTS, preset.max_points)
    camera = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]], np.float32)
    return {
        "images": draw.integers(0, 256, (2, height, width, 3), np.uint8),
        "xyz": draw.uniform((-1, -1, 1), (1, 1, 4), (points, 3)).astype(np.float32),
        "rgb": draw.integers(0, 256, (points, 3), np.uint8),
        "num_points": points,
        "world_to_camera": np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)),
        "intrinsics": np.tile(camera, (frames, 1, 1)),
    }


def _kept(result: Result) -> dict[str, Any]:
    if result.status == "invalid":
        raise BackendError(f"the new bundle's self-test failed: {result.step.reason}", _LEFT)
    if result.step.rung != "coarse" and bool((result.host().hole_mask == 1).all()):
        raise BackendError("the new bundle's self-test failed: nothing was drawn", _LEFT)
    kept = result.copy()
    return {name: getattr(kept, name) for name in ("frames", "coarse", "depth", "hole_mask")}
