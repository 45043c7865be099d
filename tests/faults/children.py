"""What tests of faults run in a process of its own, beside the command line: the public Python face, as a program uses it."""

from __future__ import annotations

import sys
from typing import Any

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
