"""Scenes and point files made to take memory or time, to run a program, or to lead out of their folder."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults.hostile import Bomb, npy, npy_header
from tests.support.nursery import Nursery
from videoscene_rt import InputError
from videoscene_rt.scenes.npz import read_npz

Damage = Callable[[Path], object]
_XYZ, _RGB = np.ones((2, 3), np.float32), np.zeros((2, 3), np.uint8)
_HEADER = "format ascii 1.0\nelement vertex {}\n" + "".join(
    f"property {kind} {name}\n"
    for kind, names in (("float", ("x", "y", "z")), ("uchar", ("red", "green", "blue")))
    for name in names
)


def _change(**keys: object) -> Damage:
    def damage(scene: Path) -> None:
        path = scene / "scene.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))

    return damage


def _points(name: str, content: bytes | Callable[[Path], bytes]) -> Damage:
    def damage(scene: Path) -> None:
        (scene / name).write_bytes(content if isinstance(content, bytes) else content(scene))
        _change(points=name)(scene)

    return damage


def _npz(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _pickled(scene: Path) -> bytes:
    bomb = npy(np.array([[Bomb(scene.parent / "pickle-was-read")] * 3], dtype=object), pickles=True)
    return _npz({"xyz.npy": bomb, "rgb.npy": npy(_RGB[:1])})


def _bomb_of_zeros() -> bytes:
    """A member of 256 MiB in a quarter of one."""
    return _npz({"xyz.npy": npy_header((1000, 3)) + bytes(256 << 20), "rgb.npy": npy(_RGB)})


def _long_header() -> bytes:
    """A .npy of version 2 whose header takes 256 MiB."""
    return _npz(
        {"xyz.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", 256 << 20) + b" " * (256 << 20), "rgb.npy": npy(_RGB)}
    )


def _encrypted() -> bytes:
    """An archive that says its members need a password."""
    plain = _npz({"xyz.npy": npy(_XYZ), "rgb.npy": npy(_RGB)}, zipfile.ZIP_STORED)
    flags = plain.index(b"PK\x01\x02") + 8
    return plain[:flags] + b"\x01" + plain[flags + 1 :]


def _sparse_directory(scene: Path) -> None:
    """An archive whose list of members is a gigabyte of nothing."""
    size = 1 << 30
    path = scene / "points.npz"
    path.write_bytes(b"")
    os.truncate(path, size)
    with path.open("ab") as file:
        file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, size, 0, 0))
    _change(points="points.npz")(scene)


def _sparse(name: str, size: int) -> Damage:
    def damage(scene: Path) -> None:
        (scene / name).touch()
        os.truncate(scene / name, size)
        _change(points=name)(scene)

    return damage


def _replace(name: str, how: Callable[[Path], object]) -> Damage:
    return lambda scene: ((scene / name).unlink(), how(scene / name))


def _ply(rows: bytes, count: int) -> bytes:
    return b"ply\n" + _HEADER.format(count).encode() + b"end_header\n" + rows


CASES: dict[str, Damage] = {
    "a pipe for scene.json": _replace("scene.json", os.mkfifo),
    "an endless device for scene.json": _replace("scene.json", lambda path: path.symlink_to("/dev/zero")),
    "a folder for scene.json": _replace("scene.json", Path.mkdir),
    "scene.json of 5 MiB": lambda scene: (scene / "scene.json").write_bytes(b" " * (5 << 20)),
    "scene.json without end": lambda scene: (scene / "scene.json").write_text("[" * 1_000_000),
    "scene.json of NaN": lambda scene: (scene / "scene.json").write_text(
        (scene / "scene.json").read_text().replace('"fx": 48.0', '"fx": NaN')
    ),
    "points upwards": _change(points="../points.ply"),
    "points at an absolute path": _change(points="/dev/zero"),
    "points with a null": _change(points="a\0.ply"),
    "points with a long name": _change(points="a/" * 500 + "x.ply"),
    "images upwards": _change(images=["../../etc/passwd", "first.png"]),
    "points through a link that leads out": lambda scene: (
        shutil.move(scene / "points.ply", scene.parent / "out.ply"),
        (scene / "points.ply").symlink_to(scene.parent / "out.ply"),
    ),
    "points through a loop of links": _replace("points.ply", lambda path: path.symlink_to(path)),
    "a pipe for points": _replace("points.ply", os.mkfifo),
    "a pipe for an image": _replace("first.png", os.mkfifo),
    "4,097 poses": _change(trajectory=[np.eye(4).tolist()] * 4097),
    "npz: pickles": _points("p.npz", _pickled),
    "npz: pickles that say they are numbers": _points(
        "p.npz", lambda scene: _npz({"xyz.npy": npy_header((1, 3)) + _pickled(scene), "rgb.npy": npy(_RGB[:1])})
    ),
    "npz: a member that grows to 256 MiB": _points("p.npz", lambda _: _bomb_of_zeros()),
    "npz: a header of 256 MiB": _points("p.npz", lambda _: _long_header()),
    "npz: 2^60 points": _points("p.npz", _npz({"xyz.npy": npy_header((1 << 60, 3)), "rgb.npy": npy(_RGB)})),
    "npz: minus one point": _points("p.npz", _npz({"xyz.npy": npy_header((-1, 3)), "rgb.npy": npy(_RGB)})),
    "npz: a list of members of 1 GiB": _sparse_directory,
    "npz: 8 TiB that take no space": _sparse("p.npz", 8 << 40),
    "npz: encrypted": _points("p.npz", _encrypted()),
    "ply: 8 TiB that take no space": _sparse("p.ply", 8 << 40),
    "ply: 10^18 points": _points("p.ply", _ply(b"", 10**18 - 1)),
    "ply: 30 million rows where one is promised": _points("p.ply", _ply(b"1\n" * 30_000_000, 1)),
    "ply: a row of 64 MiB": _points("p.ply", _ply(b"1 " * (32 << 20) + b"\n", 1)),
    "ply: a row without end": _points("p.ply", _ply(b"1" * (64 << 20), 1)),
    "ply: 16 million lists before the points": _points(
        "p.ply",
        b"ply\nformat binary_little_endian 1.0\nelement face 16777216\nproperty list uchar int i\nelement vertex 0\n"
        + "".join(_HEADER.splitlines(keepends=True)[2:]).encode()
        + b"end_header\n"
        + bytes(16 << 20),
    ),
    "ply: a header without end": _points("p.ply", b"ply\n" + b"comment x\n" * 200_000),
    "ply: 7,000 properties of one name": _points("p.ply", b"ply\nformat ascii 1.0\nelement vertex 1\n" + b"property int a\n" * 4000),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_bounded_memory_and_time(
    nursery: Nursery, scene_folder: Path, tmp_path: Path, case: str
) -> None:
    scene = Path(shutil.copytree(scene_folder, tmp_path / "scene"))
    CASES[case](scene)
    ended = nursery.call("tests.faults.children:read_scene", str(scene), memory_mib=1024)
    assert ended.refused, (ended.code, ended.err)
    assert ended.code == 2
    assert ended.peak_mib < 200 + sum(path.lstat().st_blocks for path in scene.iterdir()) / 2048
    assert ended.seconds < 20
    assert not (tmp_path / "pickle-was-read").exists()


def test_the_command_refuses_it_too(nursery: Nursery, small_bundle: Path, scene_folder: Path, tmp_path: Path) -> None:
    scene = Path(shutil.copytree(scene_folder, tmp_path / "scene"))
    CASES["npz: pickles"](scene)
    ended = nursery.vsrt("run", small_bundle, "--scene", scene, "--out", tmp_path / "out")
    assert ended.refused, ended.err
    assert ended.code == 2
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "pickle-was-read").exists()


@pytest.mark.parametrize("name", ["xyz", "rgb", "more"])
def test_a_pickle_in_any_member_is_never_read(tmp_path: Path, name: str) -> None:
    """Fed with one, not looked for in the source: reading it would make a folder."""
    bomb = np.array([[Bomb(tmp_path / "pickle-was-read")] * 3], dtype=object)
    arrays = {"xyz": _XYZ[:1], "rgb": _RGB[:1], name: bomb}
    path = tmp_path / "points.npz"
    np.savez(path, allow_pickle=True, **arrays)
    if name == "more":
        assert np.array_equal(read_npz(path)[0], _XYZ[:1])
    else:
        with pytest.raises(InputError, match=f"{name}: dtype object"):
            read_npz(path)
    assert not (tmp_path / "pickle-was-read").exists()
    with np.load(path, allow_pickle=True) as trusting:
        assert len(trusting[name])  # the bomb is live: a trusting reader sets it off
    assert (tmp_path / "pickle-was-read").exists()
