"""A scene folder: scene.json, two images, a point file (docs/scene-format.md)."""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.files import read_bytes, reason
from videoscene_rt.scenes.fit import cover
from videoscene_rt.scenes.images import read_image, write_png
from videoscene_rt.scenes.point_files import read_points, write_points
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.scenes.scene_file import CameraFile, SceneFile, parse_scene_file

SCENE_FILE = "scene.json"
_MAX_SCENE_FILE = 2**22


def load_scene(folder: str | Path) -> Scene:
    """Read a scene folder.

    A second image of another size than the first is scaled to cover the first's size and cropped at the centre, its
    intrinsics with it (the rule of ``fit``), since a scene holds two images of one size.

    Raises:
        InputError: naming the folder or file, and what is wrong with it.
    """
    folder = Path(folder)
    path, description = _description(folder)
    try:
        image_paths = [_inside(folder, f"images.{i}", name) for i, name in enumerate(description.images)]
        points_path = _inside(folder, "points", description.points)
    except InputError as error:
        raise InputError(f"{path}: {error.problem}", error.remedy) from error
    images = [read_image(image_path) for image_path in image_paths]
    for image, image_path, camera in zip(images, image_paths, description.cameras, strict=True):
        _check_size(path, camera, image, image_path, shared=len(description.camera) == 1)
    second, intrinsics = cover(images[1], np.array(description.cameras[1].matrix()), *images[0].shape[:2])
    xyz, rgb = read_points(points_path)
    try:
        return Scene(
            images=np.stack([images[0], second]),
            xyz=xyz,
            rgb=rgb,
            intrinsics=np.stack([np.array(description.cameras[0].matrix()), intrinsics]).astype(np.float32),
            world_to_camera=np.array(description.world_to_camera),
            trajectory=None if description.trajectory is None else np.array(description.trajectory).reshape(-1, 4, 4),
            timestamp_ns=description.timestamp_ns,
        )
    except InputError as error:
        where = points_path if error.problem.startswith(("xyz", "rgb")) else path
        raise InputError(f"{where}: {error.problem}", error.remedy) from error


def image_files(folder: str | Path) -> tuple[str, ...]:
    """The two image files that scene.json names, with their sizes: ("a.png, 640×480", "b.png, 640×480").

    Raises:
        InputError: there is no scene.json, or it is wrong.
    """
    _, description = _description(Path(folder))
    pairs = zip(description.images, description.cameras, strict=True)
    return tuple(f"{name}, {camera.width}×{camera.height}" for name, camera in pairs)


def save_scene(scene: Scene, folder: str | Path, points: Literal["ply", "npz"] = "ply") -> Path:
    """Write a scene folder that ``Scene.load`` reads back bit for bit; nothing half-written is left behind.

    Args:
        scene: what to write.
        folder: where; it must not exist, or be empty.
        points: the kind of point file.

    Returns:
        The folder.

    Raises:
        InputError: the folder has files in it, or cannot be written.
    """
    folder = Path(folder)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder}: exists already", "name a new or an empty folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.parent / f".{folder.name}-{secrets.token_hex(8)}"
        temporary.mkdir()
        try:
            _write(scene, temporary, f"points.{points}")
            temporary.replace(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {reason(error)}") from error
    return folder


def _description(folder: Path) -> tuple[Path, SceneFile]:
    if not folder.is_dir():
        missing = "a file, not a folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {missing}", f"a scene is a folder with a {SCENE_FILE}")
    path = folder / SCENE_FILE
    text = read_bytes(path, _MAX_SCENE_FILE)
    try:
        return path, parse_scene_file(text)
    except InputError as error:
        raise InputError(f"{path}: {error.problem}", error.remedy) from error


def _write(scene: Scene, folder: Path, points_name: str) -> None:
    names = ["first.png", "second.png"]
    for name, image in zip(names, scene.images, strict=True):
        write_png(folder / name, image)
    write_points(folder / points_name, scene.xyz, scene.rgb)
    description: dict[str, Any] = {
        "images": names,
        "points": points_name,
        "camera": [_camera(matrix, scene.width, scene.height) for matrix in scene.intrinsics],
        "world_to_camera": scene.world_to_camera.tolist(),
    }
    if scene.trajectory is not None:
        description["trajectory"] = scene.trajectory.tolist()
    if scene.timestamp_ns is not None:
        description["timestamp_ns"] = scene.timestamp_ns
    (folder / SCENE_FILE).write_text(json.dumps(description, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _camera(matrix: NDArray[np.float32], width: int, height: int) -> dict[str, float | int]:
    # tolist() gives the float64 of each float32, and JSON the shortest text that reads back to it: nothing is rounded.
    (fx, _, cx), (_, fy, cy), _ = matrix.tolist()
    return {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "width": width, "height": height}


def _inside(folder: Path, key: str, name: str) -> Path:
    try:
        path = (folder / name).resolve()
        inside = not Path(name).is_absolute() and path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise InputError(f"{key}: {name!r}: {reason(error)}") from error
    if not inside:
        raise InputError(f"{key}: {name!r} leads out of the scene's folder", "use a path relative to scene.json")
    return folder / name


def _check_size(path: Path, camera: CameraFile, image: NDArray[np.uint8], image_path: Path, shared: bool) -> None:
    height, width = image.shape[:2]
    if (camera.width, camera.height) != (width, height):
        remedy = "give 'camera' a list of two where the images differ in size" if shared else None
        raise InputError(
            f"{path}: camera is for {camera.width}×{camera.height} px, but {image_path.name} has {width}×{height}",
            remedy or "the intrinsics must be those of the image as it is stored",
        )
