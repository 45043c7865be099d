"""The scene that a whole step is measured on, the same in every program: a built-in room, or the user's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.bench.inputs import specs_sha256
from videoscene_rt.bench.record import Inputs
from videoscene_rt.chain.recording_scenes import SceneSource, scene_sources
from videoscene_rt.chain.scene_inputs import scene_inputs
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.manifest import Manifest
from videoscene_rt.engines.preset import Preset
from videoscene_rt.scenes.scene import Scene

Arrays = dict[str, npt.NDArray[Any]]


def sources(preset: Preset, folders: Sequence[Path] = ()) -> tuple[SceneSource, ...]:
    """The given scene folders, filled up with built-in rooms to three; the first is the one that is timed."""
    return scene_sources(preset, folders)


def described(manifest: Manifest, source: SceneSource, seed: int) -> Inputs:
    """How a record names a scene: two runners of one bundle on the same scene and seed have equal `Inputs`."""
    return Inputs(
        specs_sha256=text_sha256(specs_sha256(spec) for spec in manifest.graphs.values()),
        source=f"{source.name} {source.digest[:12]}, seed {seed}",
    )


def whole_buffers(scene: Scene, preset: Preset) -> Arrays:
    """A scene as the chain's input buffers at the preset's own sizes: xyz and rgb are as long as max_points, zero behind the cloud."""
    return padded(scene_inputs(scene, preset), preset.max_points)


def padded(inputs: Mapping[str, npt.NDArray[Any]], max_points: int) -> Arrays:
    """The same arrays, C-contiguous, xyz and rgb filled up with zeros to ``max_points`` rows."""
    full = {}
    for name, array in inputs.items():
        if name in ("xyz", "rgb"):
            longer = np.zeros((max_points, 3), array.dtype)
            longer[: len(array)] = array
            full[name] = longer
        else:
            full[name] = np.ascontiguousarray(array)
    return full
