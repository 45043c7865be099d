"""The scenes of a soak, as a cycle has them: at the preset's own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from videoscene_rt.bench.closed_loop import Samples
from videoscene_rt.engines.preset import Preset
from videoscene_rt.scenes.fit import fit
from videoscene_rt.scenes.scene import Scene


def at_size(scene: Scene, preset: Preset) -> Scene:
    """The scene with its images at the preset's size; a step makes the same inputs of it, bit for bit.

    Resizing is the host's work before a step, as long for a camera's images as the whole step on a GPU. A soak is of the step: with one
    such scene among others, each turn of it would be late and the next ones after it.
    """
    fitted = fit(scene, preset.height, preset.width)
    return replace(scene, images=fitted.images, intrinsics=fitted.intrinsics)


def by_scene(names: Sequence[str], steps: Samples, first: int) -> dict[str, Samples]:
    """The steps of each scene, of steps that went through them in turn.

    Args:
        names: of the scenes, in their order.
        steps: one value a step; the first one is step ``first`` of all.
    """
    count = len(names)
    return {f"step {name}": steps[(place - first) % count :: count] for place, name in enumerate(names)}
