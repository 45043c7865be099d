"""The scenes that engines are calibrated and gated on: built-in ones, or the user's. Each is known by a digest before it is loaded."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.engines.digest import file_sha256, text_sha256
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.scenes.scene import Scene

LEAST_SCENES = 3
_ROOM_PIXELS = 240 * 320
_ROOM_SEEDS = (11, 12, 13)
_ROOMS = "procedural room, version 1"
_MOTORCYCLE = ("motorcycle_left.png", "motorcycle_right.png", "motorcycle_disp.npz")
_MOST_FILES = 1000


@dataclass(frozen=True)
class SceneSource:
    """A scene to come: its name in reports, a digest of its content, the way to load it, and whether it is one of ours."""

    name: str
    digest: str
    load: Callable[[], Scene]
    built_in: bool = False


def scene_sources(preset: Preset, folders: Sequence[Path] = ()) -> tuple[SceneSource, ...]:
    """The user's scene folders, or the built-in scenes; at least `LEAST_SCENES` that differ, filled up with built-in rooms.

    Built in are three procedural rooms, and the motorcycle where the folder that $VSRT_DATA names has it: nothing is downloaded.

    Args:
        preset: gives the size of the rooms and the most points that a cloud may have.
        folders: scene folders (docs/scene-format.md); one with the content of an earlier one is left out.

    Raises:
        InputError: a folder is missing, or has too many files to be a scene.
    """
    rooms = [_room(preset, seed) for seed in _ROOM_SEEDS]
    if not folders:
        return (*rooms, *_motorcycle(preset))
    given: dict[str, SceneSource] = {}
    for number, folder in enumerate(folders, 1):
        source = _folder(preset, folder, number)
        given.setdefault(source.digest, source)
    return (*given.values(), *rooms[: max(0, LEAST_SCENES - len(given))])


def _room(preset: Preset, seed: int) -> SceneSource:
    scale = min(1.0, math.sqrt(_ROOM_PIXELS / (preset.height * preset.width)))
    height, width = round(preset.height * scale), round(preset.width * scale)
    points = min(preset.max_points, 2 * height * width)

    def load() -> Scene:
        from videoscene_rt.scenes.room import procedural_room

        return procedural_room(height, width, seed, points)

    return SceneSource(f"room-{seed}", text_sha256([_ROOMS, f"{height} {width} {seed} {points}"]), load, True)


def _motorcycle(preset: Preset) -> list[SceneSource]:
    data = os.environ.get("VSRT_DATA")
    files = [Path(data) / "motorcycle" / name for name in _MOTORCYCLE] if data else []
    if not files or not all(file.is_file() for file in files):
        return []

    def load() -> Scene:
        from videoscene_rt.scenes.middlebury import motorcycle

        return motorcycle().thinned(preset.max_points)

    return [SceneSource("motorcycle", text_sha256([*map(file_sha256, files), str(preset.max_points)]), load, True)]


def _folder(preset: Preset, folder: Path, number: int) -> SceneSource:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "a scene is a folder with a scene.json (docs/scene-format.md)")
    files = sorted(path for path in folder.rglob("*") if path.is_file())[: _MOST_FILES + 1]
    if len(files) > _MOST_FILES:
        raise InputError(f"{folder} has more than {_MOST_FILES} files", "name one scene folder with each --scenes")
    lines = [f"{file_sha256(path)} {path.relative_to(folder).as_posix()}" for path in files]

    def load() -> Scene:
        return Scene.load(folder).thinned(preset.max_points)

    # Two folders may have one name: the number keeps them apart.
    return SceneSource(
        f"{number}-{folder.resolve().name}", text_sha256([*lines, str(preset.max_points)]), functools.cache(load)
    )
