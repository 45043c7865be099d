"""videoscene-rt: the deployment runtime for VideoScene. Scenes in, one diffusion step, frames out.

from videoscene_rt import Pipeline, Scene
with Pipeline.load("tiny.bundle") as pipeline:
    result = pipeline.step(Scene.load("scene"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from videoscene_rt.engines.errors import BackendError, InputError, VsrtError

if TYPE_CHECKING:
    from videoscene_rt.counters import Counters
    from videoscene_rt.frame_stream import Frames, FrameStream
    from videoscene_rt.ladder import Ladder
    from videoscene_rt.pipeline import Pipeline
    from videoscene_rt.result import Result, Step
    from videoscene_rt.scenes.scene import Scene
    from videoscene_rt.watchdog import Hang

__all__ = [
    "BackendError",
    "Counters",
    "FrameStream",
    "Frames",
    "Hang",
    "InputError",
    "Ladder",
    "Pipeline",
    "Result",
    "Scene",
    "Step",
    "VsrtError",
]
__version__ = "0.1.0"

_PLACES = {
    "Counters": "videoscene_rt.counters",
    "FrameStream": "videoscene_rt.frame_stream",
    "Frames": "videoscene_rt.frame_stream",
    "Hang": "videoscene_rt.watchdog",
    "Ladder": "videoscene_rt.ladder",
    "Pipeline": "videoscene_rt.pipeline",
    "Result": "videoscene_rt.result",
    "Scene": "videoscene_rt.scenes.scene",
    "Step": "videoscene_rt.result",
}


def __getattr__(name: str) -> Any:
    """Import the public classes when they are first asked for: ``import videoscene_rt`` itself loads almost nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
