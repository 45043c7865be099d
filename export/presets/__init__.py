"""The presets that come with the project, one JSON file each."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset


def preset_names() -> tuple[str, ...]:
    """The names of the presets that come with the project."""
    return tuple(sorted(entry.name[:-5] for entry in files(__name__).iterdir() if entry.name.endswith(".json")))


def load_preset(name: str) -> Preset:
    """A preset by its name, or from a JSON file.

    Args:
        name: "tiny", "edge", "videoscene-5b", or a path that ends in .json.

    Raises:
        InputError: there is no such preset, or the file is not one.
    """
    source = Path(name) if name.endswith(".json") else files(__name__) / f"{name}.json"
    if not name.endswith(".json") and name not in preset_names():
        raise InputError(f"there is no preset {name!r}", f"choose {', '.join(preset_names())}, or name a JSON file")
    try:
        return Preset.model_validate_json(source.read_bytes())
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the preset"
        raise InputError(f"{name}: {place}: {first['msg']}") from error


def resized(preset: Preset, frames: int | None, height: int | None, width: int | None) -> Preset:
    """The preset with other sizes of its video; None keeps its own.

    Raises:
        InputError: frames are not 8k+1, or height or width no multiple of 16.
    """
    given = {"frames": frames, "height": height, "width": width}
    data = {**preset.model_dump(), **{name: value for name, value in given.items() if value is not None}}
    try:
        return Preset.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = f"--{first['loc'][0]}" if first["loc"] else "--frames, --height, --width"
        raise InputError(f"{option}: {str(first['msg']).removeprefix('Value error, ')}") from error
