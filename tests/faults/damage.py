"""What a disk, a copy or a careless hand does to a bundle: each case damages a copy; the manifest's digests are as they were."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path], object]
MANIFEST = "manifest.json"
KINDS = ("student.onnx", "weights_student.bin", "prompt.npy", MANIFEST)
"""One file of each kind."""


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest."""
    path = bundle / MANIFEST
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def certify(bundle: Path, *names: str) -> None:
    """Make the manifest fit these files."""

    def fit(data: dict[str, Any]) -> None:
        for name in names:
            content = (bundle / name).read_bytes()
            data["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}

    edit(bundle, fit)


def _flip(name: str, where: float) -> Damage:
    def damage(bundle: Path) -> None:
        path = bundle / name
        content = bytearray(path.read_bytes())
        content[min(int(where * len(content)), len(content) - 1)] ^= 0x81
        path.write_bytes(content)

    return damage


def cut(name: str, part: float) -> Damage:
    return lambda bundle: os.truncate(bundle / name, int(part * (bundle / name).stat().st_size))


def _lengthen(name: str) -> Damage:
    def damage(bundle: Path) -> None:
        with (bundle / name).open("ab") as file:
            file.write(b"\0" * 4096)

    return damage


def swap(one: str, other: str) -> Damage:
    def damage(bundle: Path) -> None:
        first, second = (bundle / one).read_bytes(), (bundle / other).read_bytes()
        (bundle / one).write_bytes(second)
        (bundle / other).write_bytes(first)

    return damage


def _link_out(name: str) -> Damage:
    def damage(bundle: Path) -> None:
        outside = bundle.parent / f"outside-{name}"
        shutil.move(bundle / name, outside)
        (bundle / name).symlink_to(outside)

    return damage


def _link_to(name: str, target: str) -> Damage:
    def damage(bundle: Path) -> None:
        (bundle / name).unlink()
        (bundle / name).symlink_to(target)

    return damage


def _folder(name: str) -> Damage:
    return lambda bundle: ((bundle / name).unlink(), (bundle / name).mkdir())


def _fifo(name: str) -> Damage:
    return lambda bundle: ((bundle / name).unlink(), os.mkfifo(bundle / name))


def sparse(name: str, size: int) -> Damage:
    """A file that claims terabytes and takes no space, in manifest and folder alike."""

    def damage(bundle: Path) -> None:
        os.truncate(bundle / name, size)
        edit(bundle, lambda data: data["files"][name].update(bytes=size))

    return damage


DAMAGE: dict[str, Damage] = {
    **{f"{name}: a byte of the header": _flip(name, 0.0) for name in KINDS},
    **{f"{name}: a byte in the middle": _flip(name, 0.5) for name in KINDS},
    **{f"{name}: a byte of the tail": _flip(name, 1.0) for name in KINDS if name != MANIFEST},
    **{f"{name}: half of it": cut(name, 0.5) for name in KINDS},
    **{f"{name}: empty": cut(name, 0.0) for name in KINDS},
    **{f"{name}: longer": _lengthen(name) for name in KINDS},
    **{f"{name}: missing": lambda bundle, name=name: (bundle / name).unlink() for name in KINDS},  # type: ignore[misc]
    **{f"{name}: a link out of the folder": _link_out(name) for name in KINDS},
    **{f"{name}: a link to an endless device": _link_to(name, "/dev/zero") for name in KINDS},
    **{f"{name}: a loop of links": _link_to(name, name) for name in KINDS},
    **{f"{name}: a folder": _folder(name) for name in KINDS},
    **{f"{name}: a pipe that nobody writes": _fifo(name) for name in KINDS},
    "two graphs swapped": swap("encode_clip.onnx", "decode_clip.onnx"),
    "two weight files swapped": swap("weights_student.bin", "weights_policy.bin"),
    "graph and weights swapped": swap("student.onnx", "weights_student.bin"),
}
