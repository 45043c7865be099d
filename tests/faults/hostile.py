"""Bundles made on purpose, by somebody who may write the manifest and makes its digests fit."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tests.faults.damage import MANIFEST, Damage, certify, cut, edit, sparse, swap


def _manifest(change: Callable[[dict[str, Any]], object]) -> Damage:
    return lambda bundle: edit(bundle, change)


def _text(text: str) -> Damage:
    return lambda bundle: (bundle / MANIFEST).write_text(text)


def _named(name: str) -> Damage:
    """A file of the bundle called this."""
    return _manifest(lambda data: data["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))


def _preset(**sizes: Any) -> Damage:
    return _manifest(lambda data: data["preset"].update(sizes))


def _everywhere(old: int, new: int) -> Damage:
    """Another size, wherever the manifest has it: everything in it agrees."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: changed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [changed(item) for item in value]
        return new if value == old and not isinstance(value, bool) else value

    def change(data: dict[str, Any]) -> None:
        for part in ("preset", "graphs"):
            data[part] = changed(data[part])

    return _manifest(change)


def _prompt(content: bytes) -> Damage:
    return lambda bundle: ((bundle / "prompt.npy").write_bytes(content), certify(bundle, "prompt.npy"))


def npy(array: np.ndarray[Any, Any], pickles: bool = False) -> bytes:
    """An array as a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickles)
    return file.getvalue()


def npy_header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    """The header of a .npy file without its data."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


class Bomb:
    """What runs a command where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def _pickled_prompt(bundle: Path) -> None:
    _prompt(npy(np.array([Bomb(bundle.parent / "pickle-was-read")], dtype=object), pickles=True))(bundle)


def _graph(change: Callable[[onnx.ModelProto], object], name: str = "student.onnx") -> Damage:
    """A graph changed as a document; its external data are not touched."""

    def damage(bundle: Path) -> None:
        model = onnx.load(str(bundle / name), load_external_data=False)
        change(model)
        (bundle / name).write_bytes(model.SerializeToString())
        certify(bundle, name)

    return damage


def _external(**fields: str) -> Damage:
    """Every weight of the student lies there."""

    def change(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key in fields:
                    entry.value = fields[entry.key]

    return _graph(change)


def _huge_initializers(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.external_data:
            tensor.dims[0] = 1 << 40


def _certified(damage: Damage, *names: str) -> Damage:
    return lambda bundle: (damage(bundle), certify(bundle, *names))


def _outside_file(bundle: Path) -> None:
    (bundle.parent / "outside.bin").write_bytes((bundle / "weights_student.bin").read_bytes())
    _external(location="../outside.bin")(bundle)


def _linked_weights(bundle: Path) -> None:
    """External data through a link that the manifest does not name."""
    shutil.copy(bundle / "weights_student.bin", bundle.parent / "outside.bin")
    (bundle / "more.bin").symlink_to(bundle.parent / "outside.bin")
    _external(location="more.bin")(bundle)


def _unnamed_weights(bundle: Path) -> None:
    """External data in a file of the folder that the manifest does not name, so that nobody verified it."""
    shutil.copy(bundle / "weights_student.bin", bundle / "more.bin")
    _external(location="more.bin")(bundle)


_DEEP = "[" * 100_000
HOSTILE: dict[str, Damage] = {
    **{
        f"a file called {name!r}": _named(name)
        for name in (
            "../../etc/passwd", "/etc/passwd", "a/../../b", "..", ".", "", "a//b", "a\\..\\b", "C:\\x", "a\0b", "./a", "a/",
            "line\nbreak", "\x1b[2Jx", "x" * 5000, "a/" * 3000 + "a", "\u202egnp.exe",
        )
    },
    **{f"prompt_file {name!r}": _manifest(lambda data, name=name: data.update(prompt_file=name)) for name in ("/dev/zero", "../x")},  # type: ignore[misc]
    "a graph's file outside": _manifest(lambda data: data["graphs"]["student"].update(file="../student.onnx")),
    "a manifest without end": _text(_DEEP),
    "a manifest of nested objects": _text('{"a":' * 100_000),
    "a manifest that repeats a key": lambda bundle: _text('{"preset": 1,' + (bundle / MANIFEST).read_text()[1:])(bundle),
    "a manifest of 17 MiB": _text(" " * (17 << 20)),
    "a number of 5,000 digits": _text('{"schema_version": 1' + "0" * 5000 + "}"),
    "a version of 4,000 digits": _text('{"schema_version": 1' + "0" * 4000 + "}"),
    "NaN for a size": lambda bundle: _text((bundle / MANIFEST).read_text().replace('"height": 32', '"height": NaN'))(bundle),
    "frames without number": _preset(frames=8 * 10**12 + 1),
    "a height of 2^40": _preset(height=1 << 40),
    "a height beyond a float": _preset(height=16 * 10**400),
    "a width of 2^62": _preset(width=1 << 62),
    "text tokens without number": _everywhere(4, 10**15),
    "sizes that agree, 2^40 px high": _everywhere(32, 1 << 40),
    "sizes that agree, 2^24 px high": _everywhere(32, 1 << 24),
    "sizes that agree, beyond 64 bits": _everywhere(48, 16 * 10**30),
    "frames that agree, 8 million": _everywhere(9, 8_000_001),
    "a shape of negative size": _manifest(lambda data: data["graphs"]["student"]["inputs"][0].update(shape=[1, 3, 16, -4, -6])),
    "a shape with 100,000 axes": _manifest(lambda data: data["graphs"]["student"]["inputs"][0].update(shape=[1] * 100_000)),
    "a graph that is not there": _manifest(lambda data: data["graphs"].pop("encode_images")),
    "no graphs": _manifest(lambda data: data.update(graphs={})),
    "another autoencoder": _manifest(lambda data: data["preset"].update(autoencoder={"kind": "cogvideox"})),
    "weights of 8 TiB that take no space": sparse("weights_student.bin", 8 << 40),
    "a prompt of 8 TiB that takes no space": sparse("prompt.npy", 8 << 40),
    "a prompt of pickles": _pickled_prompt,
    "a prompt that declares 2^60 numbers": _prompt(npy_header((1, 1 << 30, 1 << 30))),
    "a prompt that declares the right size, without data": _prompt(npy_header((1, 4, 16))),
    "a prompt with more data than it declares": _prompt(npy(np.zeros((1, 4, 16), np.float32)) + b"\0" * 64),
    "a prompt with a header that is a program": _prompt(b"\x93NUMPY\x01\x00\x46\x00" + b"__import__('os').mkdir('x')".ljust(0x46)),
    "a prompt that is a zip file": _prompt(b"PK\x05\x06" + b"\0" * 18),
    "a graph that is noise": _certified(lambda b: (b / "student.onnx").write_bytes(bytes(range(256)) * 64), "student.onnx"),
    "a graph cut in half": _certified(cut("student.onnx", 0.5), "student.onnx"),
    "a graph of another kind": _certified(swap("student.onnx", "policy.onnx"), "student.onnx", "policy.onnx"),
    "an empty graph": _certified(cut("student.onnx", 0.0), "student.onnx"),
    "weights cut in half": _certified(cut("weights_student.bin", 0.5), "weights_student.bin"),
    "empty weights": _certified(cut("weights_student.bin", 0.0), "weights_student.bin"),
    "weights outside the bundle": _outside_file,
    "weights at an absolute path": _external(location="/dev/zero"),
    "weights through a link": _linked_weights,
    "weights in a file that was not verified": _unnamed_weights,
    "weights at an offset of 2^62": _external(offset=str(1 << 62)),
    "weights at a negative offset": _external(offset="-4096"),
    "weights of a length of 2^62": _external(length=str(1 << 62)),
    "weights of a negative length": _external(length="-1"),
    "weights at an offset that is no number": _external(offset="here"),
    "weights of a huge shape": _graph(_huge_initializers),
}  # fmt: skip
