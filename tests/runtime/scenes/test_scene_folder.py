"""Scene folders: what is read, that writing and reading agree, and every way a folder can be wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from tests.runtime.scenes.builders import HEIGHT, WIDTH, fields, pose, refusal, same, scene
from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes import Scene
from videoscene_rt.scenes.point_files import write_points
from videoscene_rt.scenes.scene_folder import save_scene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_scene(scene(), tmp_path / "scene")


def _edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    description = json.loads((folder / "scene.json").read_text())
    change(description)
    (folder / "scene.json").write_text(json.dumps(description))


def _refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        Scene.load(folder)
    assert str(folder) in caught.value.problem
    assert "\n" not in caught.value.problem
    return str(caught.value)


@pytest.mark.parametrize("points", ["ply", "npz"])
def test_round_trip_is_exact(tmp_path: Path, points: Any) -> None:
    turned = [pose(Rotation.from_euler("xyz", [0.1 * i, 0.3 * i, 0.2]), [0.1 * i, 0, 0]) for i in range(9)]
    cameras = fields()["intrinsics"]
    cameras[1, 0, 0], cameras[0, 1, 2] = np.float32(31.7), np.float32(1 / 3)
    made = scene(trajectory=np.stack(turned), intrinsics=cameras, timestamp_ns=1_700_000_000_123_456_789)
    assert same(Scene.load(save_scene(made, tmp_path / "a" / "scene", points=points)), made)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["scene"]


def test_one_camera_serves_both_images(folder: Path) -> None:
    whole = Scene.load(folder)
    _edit(folder, lambda d: d.update(camera=d["camera"][0]))
    assert same(Scene.load(folder), whole)


def test_a_second_image_of_another_size_is_brought_to_the_first(folder: Path) -> None:
    # A ramp in x: what the pixels show must be where the adjusted camera says it is.
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None] * 2, 60, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(folder / "second.png")
    camera = {"fx": 90.0, "fy": 91.0, "cx": 49.0, "cy": 28.0, "width": 100, "height": 60}
    _edit(folder, lambda d: d["camera"].__setitem__(1, camera))
    loaded = Scene.load(folder)
    assert loaded.images.shape == (2, HEIGHT, WIDTH, 3)
    scale = max(WIDTH / 100, HEIGHT / 60)
    crop = (100 * scale - WIDTH) / 2
    assert loaded.intrinsics[1, 0, 0] == pytest.approx(90 * scale)
    assert loaded.intrinsics[1, 0, 2] == pytest.approx(49.5 * scale - 0.5 - crop)
    assert loaded.intrinsics[1, 1, 2] == pytest.approx(28.5 * scale - 0.5)
    column = 10
    original = (column + 0.5 + crop) / scale - 0.5
    assert loaded.images[1, 12, column, 0] == pytest.approx(2 * original, abs=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["images"].append("c.png"), ["images: 3 given", "exactly two"]),
        (lambda d: d["images"].pop(), ["images: 1 given"]),
        (lambda d: d.update(images="first.png"), ["images"]),
        (lambda d: d.update(pose=[]), ["unknown key 'pose'", "world_to_camera"]),
        (lambda d: d["camera"][1].update(k1=0.1), ["unknown key 'camera.1.k1'", "fx"]),
        (lambda d: d.pop("points"), ["key 'points' is missing"]),
        (lambda d: d["camera"][0].pop("cy"), ["key 'camera.0.cy' is missing"]),
        (lambda d: d["camera"][0].update(fx="500"), ["camera.0.fx"]),
        (lambda d: d["camera"][0].update(fx=float("nan")), ["camera.0.fx"]),
        (lambda d: d["camera"][0].update(fx=10**400), ["camera.0.fx"]),
        (lambda d: d["camera"].append(d["camera"][0]), ["camera: 3 given"]),
        (lambda d: d.update(camera=[]), ["camera: 0 given"]),
        (lambda d: d["camera"][1].update(width=64), ["camera is for 64×24 px", "second.png has 32×24"]),
        (lambda d: d["camera"][0].update(fx=0.8, fy=0.8), ["intrinsics[0]", "fx = 0.8"]),
        (lambda d: d["world_to_camera"].append(np.eye(4).tolist()), ["world_to_camera: 3 given"]),
        (lambda d: d["world_to_camera"][1].pop(), ["world_to_camera: matrix 1 is 3×4; needs 4×4"]),
        (lambda d: d.update(trajectory=[np.eye(3).tolist()]), ["trajectory: matrix 0 is 3×3; needs 4×4"]),
        (lambda d: d["world_to_camera"][1][2].pop(), ["world_to_camera.1.2"]),
        (lambda d: d["world_to_camera"][1][0].__setitem__(0, 7.0), ["world_to_camera[1]", "rigid"]),
        (lambda d: d.update(trajectory=[]), ["trajectory"]),
        (lambda d: d.update(trajectory=[(2 * np.eye(4)).tolist()]), ["trajectory[0]"]),
        (lambda d: d.update(timestamp_ns=-4), ["timestamp_ns", "-4"]),
        (lambda d: d.update(points="../points.ply"), ["points", "leads out"]),
        (lambda d: d.update(points="/etc/passwd"), ["points", "/etc/passwd", "leads out"]),
        (lambda d: d["images"].__setitem__(0, "a/../../x.png"), ["images.0", "leads out"]),
        (lambda d: d["images"].__setitem__(0, "a\0b.png"), ["images.0"]),
        (lambda d: d["images"].__setitem__(0, "x" * 300), ["cannot be read"]),
        (lambda d: d["images"].__setitem__(0, ""), ["images.0"]),
        (lambda d: d["images"].__setitem__(1, "third.png"), ["third.png: no such file"]),
        (lambda d: d["images"].__setitem__(1, "."), ["not a regular file"]),
        (lambda d: d.update(points="points.las"), ["points.las", ".ply or .npz"]),
        (lambda d: d.update(points="points.npz"), ["points.npz: no such file"]),
    ],
)
def test_a_wrong_description_is_named(folder: Path, change: Callable[[dict[str, Any]], Any], words: list[str]) -> None:
    _edit(folder, change)
    message = _refusal(folder)
    for word in words:
        assert word in message


def test_one_camera_for_images_of_two_sizes_gets_the_remedy(folder: Path) -> None:
    _edit(folder, lambda d: d.update(camera=d["camera"][0]))
    Image.new("RGB", (40, 40)).save(folder / "second.png")
    assert "list of two" in _refusal(folder)


@pytest.mark.parametrize(
    ("xyz", "words"),
    [
        (np.zeros((0, 3)), "the point cloud is empty"),
        ([[0, 0, 1], [0, np.nan, 1]], "xyz[1,1] is nan"),
        ([[0, 0, np.inf]], "xyz[0,2] is inf"),
        ([[0, 0, -1], [0, 0.5, -2]], "all 2 points lie behind both cameras"),
    ],
)
def test_a_bad_cloud_names_the_point_file(folder: Path, xyz: Any, words: str) -> None:
    points = np.array(xyz, np.float32)
    write_points(folder / "points.ply", points, np.zeros(points.shape, np.uint8))
    message = _refusal(folder)
    assert words in message
    assert "points.ply" in message


def test_files_that_are_missing_or_damaged(folder: Path) -> None:
    (folder / "points.ply").write_bytes((folder / "points.ply").read_bytes()[:-1])
    assert "points.ply: truncated" in _refusal(folder)
    (folder / "second.png").write_bytes((folder / "second.png").read_bytes()[:99])
    assert "second.png" in _refusal(folder)
    (folder / "scene.json").write_text("{")
    assert "scene.json: " in _refusal(folder)
    (folder / "scene.json").write_bytes(b"\xff\xfe")
    assert "scene.json: " in _refusal(folder)
    (folder / "scene.json").write_text("[" * 100_000)
    assert "scene.json: " in _refusal(folder)
    (folder / "scene.json").write_bytes(b" " * 5_000_000)
    assert "larger than" in _refusal(folder)
    (folder / "scene.json").unlink()
    assert "scene.json: no such file" in _refusal(folder)
    assert "no such folder" in _refusal(folder / "deeper")


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "first.png").rename(tmp_path / "first.png")
    (folder / "first.png").symlink_to(tmp_path / "first.png")
    assert "leads out" in _refusal(folder)


def test_a_pipe_does_not_block(folder: Path) -> None:
    (folder / "points.ply").unlink()
    os.mkfifo(folder / "points.ply")
    assert "not a regular file" in _refusal(folder)


def test_nothing_is_overwritten_or_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scene").mkdir()
    save_scene(scene(), tmp_path / "scene")
    before = {path.name: path.read_bytes() for path in (tmp_path / "scene").iterdir()}
    with pytest.raises(InputError, match="exists already"):
        save_scene(scene(), tmp_path / "scene")
    assert {path.name: path.read_bytes() for path in (tmp_path / "scene").iterdir()} == before

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("videoscene_rt.scenes.scene_folder.write_points", no_room)
    with pytest.raises(InputError, match="No space left on device"):
        save_scene(scene(), tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(["images", "points", "camera", "world_to_camera", "trajectory", "timestamp_ns", ""]),
    value=_json,
)
def test_any_json_is_read_or_refused(tmp_path: Path, key: str, value: Any) -> None:
    folder = tmp_path / "any"
    if not folder.exists():
        save_scene(scene(), folder)
        (folder / "whole.json").write_bytes((folder / "scene.json").read_bytes())
    description = json.loads((folder / "whole.json").read_text())
    (folder / "scene.json").write_text(json.dumps({**description, key: value} if key else value))
    error = refusal(lambda: Scene.load(folder))
    assert error is None or str(folder) in error.problem


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=3)), min_size=1, max_size=5))
def test_damaged_json_is_read_or_refused(tmp_path: Path, edits: list[tuple[int, bytes]]) -> None:
    folder = tmp_path / "any"
    if not folder.exists():
        save_scene(scene(), folder)
        (folder / "whole.json").write_bytes((folder / "scene.json").read_bytes())
    data = (folder / "whole.json").read_bytes()
    for place, piece in edits:
        place %= len(data) + 1
        data = data[:place] + piece + data[place + 1 :]
    (folder / "scene.json").write_bytes(data)
    error = refusal(lambda: Scene.load(folder))
    assert error is None or str(folder) in error.problem


def test_a_file_in_place_of_the_folder_is_called_one(folder: Path) -> None:
    with pytest.raises(InputError, match=r"scene\.json: a file, not a folder"):
        Scene.load(folder / "scene.json")
