"""Engines that are not as they were stored: nothing of them is loaded, and a build mends it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.nursery import Nursery
from videoscene_rt.engines.digest import file_sha256

Damage = Callable[[Path, Path], object]
"""Takes the folders of two engines."""


def _flip(name: str, where: float) -> Damage:
    def damage(engine: Path, _: Path) -> None:
        content = bytearray((engine / name).read_bytes())
        content[min(int(where * len(content)), len(content) - 1)] ^= 0x81
        (engine / name).write_bytes(content)

    return damage


def _edit(name: str, change: Callable[[Any], object]) -> Damage:
    def damage(engine: Path, _: Path) -> None:
        data = json.loads((engine / name).read_text())
        change(data)
        (engine / name).write_text(json.dumps(data))

    return damage


def _certified(damage: Damage, *names: str) -> Damage:
    """The damage, and a record that fits it; the selection, which would notice, says no more which engines the step was gated with."""

    def both(engine: Path, other: Path) -> None:
        damage(engine, other)
        files = {
            name: {"sha256": file_sha256(engine / name), "bytes": (engine / name).stat().st_size} for name in names
        }
        _edit("record.json", lambda data: data["files"].update(files))(engine, other)
        _edit("selected.json", lambda data: [pair.pop("engines") for pair in data["pairs"].values()])(
            engine.parent, other
        )

    return both


def _instead(name: str, how: Callable[[Path], object]) -> Damage:
    return lambda engine, _: ((engine / name).unlink(), how(engine / name))


def _link(engine: Path, other: Path) -> None:
    (engine / "engine.onnx").unlink()
    (engine / "engine.onnx").symlink_to(other / "engine.onnx")


def _move(engine: Path, _: Path) -> None:
    outside = engine.parent.parent.parent / "outside"
    shutil.move(engine, outside)
    engine.symlink_to(outside)


def _swap(engine: Path, other: Path) -> None:
    aside = engine.with_name("aside")
    engine.rename(aside)
    other.rename(engine)
    aside.rename(other)


def _copy(engine: Path, other: Path) -> None:
    for name in ("engine.onnx", "engine.onnx.data"):
        shutil.copy(other / name, engine / name)


_FILES = ("engine.onnx", "engine.onnx.data", "record.json", "identity.json")
CASES: dict[str, Damage] = {
    **{f"{name}: a byte of the header": _flip(name, 0.0) for name in _FILES},
    **{f"{name}: a byte in the middle": _flip(name, 0.5) for name in _FILES if name != "record.json"},
    **{f"{name}: a byte of the tail": _flip(name, 1.0) for name in ("engine.onnx", "engine.onnx.data")},
    **{f"{name}: half of it": lambda e, _, n=name: os.truncate(e / n, (e / n).stat().st_size // 2) for name in _FILES},  # type: ignore[misc]
    **{f"{name}: empty": lambda e, _, n=name: os.truncate(e / n, 0) for name in _FILES},  # type: ignore[misc]
    **{f"{name}: missing": lambda e, _, n=name: (e / n).unlink() for name in _FILES},  # type: ignore[misc]
    **{f"{name}: an endless device": _instead(name, lambda path: path.symlink_to("/dev/zero")) for name in _FILES},
    **{f"{name}: a pipe": _instead(name, os.mkfifo) for name in _FILES},
    "a link": _link,
    "a folder outside": _move,
    "two engines swapped": _swap,
    "another graph's engine": _copy,
    "another graph's engine, and a record that fits": _certified(_copy, "engine.onnx", "engine.onnx.data"),
    "noise, and a record that fits": _certified(lambda e, _: (e / "engine.onnx").write_bytes(bytes(range(256)) * 64), "engine.onnx"),
    "half of it, and a record that fits": _certified(lambda e, _: os.truncate(e / "engine.onnx", 9000), "engine.onnx"),
    "half of its weights, and a record that fits": _certified(lambda e, _: os.truncate(e / "engine.onnx.data", 9000), "engine.onnx.data"),
    "8 TiB of weights that take no space": lambda e, _: os.truncate(e / "engine.onnx.data", 8 << 40),
    "a record of 17 MiB": lambda e, _: (e / "record.json").write_bytes(b" " * (17 << 20)),
    "a record without end": lambda e, _: (e / "record.json").write_text('{"a":' * 200_000),
    "a record of a file upwards": _edit("record.json", lambda data: data["files"].update({"../x": {"sha256": "0" * 64, "bytes": 0}})),
    "a gate that did not run": _edit("record.json", lambda data: data["gate"].update(status="not run")),
    "a gate that refused": _edit("record.json", lambda data: data["gate"].update(status="refused")),
    "an identity of another version": _edit("identity.json", lambda data: data.update(backend_version="0.1")),
    "open to everybody": lambda e, _: (e / "engine.onnx").chmod(0o666),
    "a folder open to everybody": lambda e, _: e.chmod(0o777),
    "selected.json: half of it": lambda e, _: os.truncate(e.parent / "selected.json", 40),
    "selected.json: a folder upwards": lambda e, _: (e.parent / "selected.json").write_text(
        (e.parent / "selected.json").read_text().replace(e.name, f"../{e.name}")
    ),
    "selected.json: a pipe": lambda e, _: ((e.parent / "selected.json").unlink(), os.mkfifo(e.parent / "selected.json")),
    "selected.json: missing": lambda e, _: (e.parent / "selected.json").unlink(),
}  # fmt: skip


def engines(bundle: Path) -> tuple[Path, Path]:
    """The folders of the student's engine and of another one."""
    graphs = json.loads((bundle / "engines" / "selected.json").read_text())["pairs"]["onnxruntime/fp16"]["graphs"]
    return bundle / "engines" / graphs["student"], bundle / "engines" / graphs["decode_clip"]


@pytest.mark.parametrize("case", CASES)
def test_it_is_not_loaded_and_the_reference_still_is(nursery: Nursery, built: Path, case: str) -> None:
    CASES[case](*engines(built))
    ended = nursery.call("tests.faults.children:load", {"bundle": str(built), "precision": "fp16"}, memory_mib=1024)
    assert ended.refused, (ended.code, ended.err)
    assert ended.code == 3
    assert ended.peak_mib < 200
    assert ended.seconds < 20
    assert nursery.call("tests.faults.children:load", {"bundle": str(built)}).code == 0


SOME = (
    "engine.onnx.data: a byte in the middle",
    "selected.json: half of it",
    "noise, and a record that fits",
    "a folder outside",
)


@pytest.mark.parametrize("case", [pytest.param(c, marks=() if c in SOME else pytest.mark.slow) for c in CASES])
def test_a_build_mends_it(nursery: Nursery, built: Path, scene_folder: Path, case: str) -> None:
    """`--force` is what the refusal names where the record fits the damage."""
    CASES[case](*engines(built))
    again = ("--force",) if "a record that fits" in case else ()
    ended = nursery.vsrt("build", built, "--precision", "fp16", "--threads", 1, *again)
    assert ended.code == 0, ended.err
    arguments = {"bundle": str(built), "precision": "fp16", "scene": str(scene_folder)}
    assert nursery.call("tests.faults.children:load", arguments).code == 0
