"""PLY: everything the format allows that a cloud needs, and nothing silently wrong."""

from __future__ import annotations

import re
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.runtime.scenes.builders import refusal
from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.point_files import read_points, write_points

_POSITION = ["property float x", "property float y", "property float z"]
_COLOUR = ["property uchar red", "property uchar green", "property uchar blue"]


def _header(kind: str, count: int, properties: list[str], before: list[str] = [], after: list[str] = []) -> bytes:  # noqa: B006
    lines = ["ply", f"format {kind} 1.0", *before, f"element vertex {count}", *properties, *after, "end_header", ""]
    return "\n".join(lines).encode()


def _read(folder: Path, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    (folder / "cloud.ply").write_bytes(data)
    return read_points(folder / "cloud.ply")


def _refusal(folder: Path, data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        _read(folder, data)
    assert "cloud.ply: " in caught.value.problem
    assert "\n" not in caught.value.problem
    return str(caught.value)


_xyz = hnp.arrays(np.float32, st.tuples(st.integers(0, 20), st.just(3)), elements=st.floats(width=32))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(xyz=_xyz, suffix=st.sampled_from(["ply", "npz"]), data=st.data())
def test_round_trip_is_exact(tmp_path: Path, xyz: np.ndarray, suffix: str, data: st.DataObject) -> None:
    rgb = data.draw(hnp.arrays(np.uint8, xyz.shape))
    write_points(tmp_path / f"cloud.{suffix}", xyz, rgb)
    read_xyz, read_rgb = read_points(tmp_path / f"cloud.{suffix}")
    assert read_xyz.tobytes() == xyz.tobytes()  # bits, so that NaN counts
    assert np.array_equal(read_rgb, rgb)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(xyz=_xyz, data=st.data())
def test_ascii_keeps_float32(tmp_path: Path, xyz: np.ndarray, data: st.DataObject) -> None:
    rgb = data.draw(hnp.arrays(np.uint8, xyz.shape))
    rows = [
        " ".join([*(f"{float(value):.9g}" for value in point), *map(str, colour)])
        for point, colour in zip(xyz, rgb, strict=True)
    ]
    read_xyz, read_rgb = _read(tmp_path, _header("ascii", len(xyz), _POSITION + _COLOUR) + "\n".join(rows).encode())
    assert np.array_equal(read_xyz, xyz, equal_nan=True)
    assert np.array_equal(read_rgb, rgb)


@pytest.mark.parametrize(("kind", "order"), [("binary_little_endian", "<"), ("binary_big_endian", ">")])
def test_other_properties_elements_and_types(tmp_path: Path, kind: str, order: str) -> None:
    properties = [
        "property float nx",
        "property double x",
        "property float32 z",
        "property uint8 blue",
        "property int id",
    ]
    properties += ["property uchar green", "property float64 y", "property uchar alpha", "property uchar red"]
    before = [
        "comment made by hand",
        "obj_info 1",
        "element sensor 2",
        "property short a",
        "property list ushort int b",
    ]
    after = ["element face 1", "property list uchar int vertex_indices"]
    data = _header(kind, 2, properties, before, after)
    data += struct.pack(order + "hHii", 1, 2, 7, 8) + struct.pack(order + "hH", 1, 0)
    data += struct.pack(order + "fdfBiBdBB", 9, 1.5, 3.5, 30, -1, 20, 2.5, 0, 10)
    data += struct.pack(order + "fdfBiBdBB", 9, 0.1, 0.3, 33, -1, 22, 0.2, 0, 11)
    data += struct.pack(order + "Biii", 3, 0, 1, 1)
    xyz, rgb = _read(tmp_path, data)
    assert np.array_equal(xyz, np.array([[1.5, 2.5, 3.5], [0.1, 0.2, 0.3]], np.float32))
    assert rgb.tolist() == [[10, 20, 30], [11, 22, 33]]


def test_ascii_with_other_elements_blank_lines_and_crlf(tmp_path: Path) -> None:
    before, after = ["element sensor 1", "property list uchar int b"], ["element face 1", "property list uchar int i"]
    data = (
        _header("ascii", 2, _POSITION + _COLOUR, before, after)
        + b"2 7 8\n\n1 2 3 4 5 6\n nan -inf 1e3 7 8 9 \n3 0 1 1\n\n"
    )
    for text in (data, data.replace(b"\n", b"\r\n")):
        xyz, rgb = _read(tmp_path, text)
        assert np.array_equal(xyz, np.array([[1, 2, 3], [np.nan, -np.inf, 1000]], np.float32), equal_nan=True)
        assert rgb.tolist() == [[4, 5, 6], [7, 8, 9]]


_ROW = struct.pack("<fffBBB", 1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_header("binary_little_endian", 2, _POSITION) + b"\0" * 24, "no colours"),
        (_header("ascii", 1, _POSITION + _COLOUR[:2]) + b"1 2 3 4 5\n", "no property blue"),
        (_header("ascii", 1, _POSITION[:2] + _COLOUR) + b"1 2 3 4 5\n", "no property z"),
        (_header("ascii", 1, [*_POSITION, *(c.replace("uchar", "float") for c in _COLOUR)]), "red is not uchar"),
        (_header("ascii", 1, [*_POSITION, *(c.replace("uchar", "ushort") for c in _COLOUR)]), "red is not uchar"),
        (_header("ascii", 3, _POSITION + _COLOUR) + b"1 2 3 4 5 6\n" * 2, "truncated: 2 rows.* 3"),
        (_header("ascii", 2, _POSITION + _COLOUR) + b"1 2 3 4 5 6\n" * 3, "1 rows more"),
        (_header("ascii", 1, _POSITION + _COLOUR) + b"1 2 3 4 5 6 7\n", "point 0 has 7 values; the header promises 6"),
        (
            _header("ascii", 2, _POSITION + _COLOUR) + b"1 2 3 4 5 6\n1 2 3 4 5\n",
            "point 1 has 5 values; the header promises 6",
        ),
        (_header("ascii", 1, _POSITION + _COLOUR) + b"1 2 three 4 5 6\n", "three"),
        (_header("ascii", 2, _POSITION + _COLOUR) + b"1 2 3 4 5 6\n1 2 3 4 300 6\n", "point 1: green is 300"),
        (_header("ascii", 1, _POSITION + _COLOUR) + b"1 2 3 -4 5 6\n", "point 0: red is -4"),
        (_header("ascii", 1, _POSITION + _COLOUR) + b"1 2 3 0.5 5 6\n", "red is 0.5"),
        (_header("ascii", 1, _POSITION + _COLOUR) + b"1 2 3 nan 5 6\n", "red is nan"),
        (_header("binary_little_endian", 3, _POSITION + _COLOUR) + _ROW * 2, "truncated"),
        (_header("binary_little_endian", 2, _POSITION + _COLOUR) + _ROW * 2 + b"x", "1 bytes more"),
        (_header("binary_little_endian", 10**17, _POSITION + _COLOUR) + _ROW, "truncated"),
        (
            _header("binary_little_endian", 10**15, _POSITION + _COLOUR, ["element a 10", "property list int int b"]),
            "truncated",
        ),
        (_header("ascii", 10**17, _POSITION + _COLOUR) + b"1 2 3 4 5 6\n", "truncated"),
        (b"ply\nformat ascii 1.0\nelement vertex -5\nend_header\n", "-5"),
        (b"ply\nformat ascii 1.0\nelement vertex 1e3\nend_header\n", "1e3"),
        (b"ply\nformat ascii 1.0\nelement face 1\nproperty int a\nend_header\n1\n", "no element vertex"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty quad x\nend_header\n1\n", "quad"),
        (b"ply\nformat ascii 1.0\nproperty float x\nend_header\n1\n", "bad header line"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float x\nend_header\n", "x twice"),
        (b"ply\nformat middle_endian 1.0\nend_header\n", "format"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\n", "end_header"),
        (b"ply\n" + b"comment\n" * 100_000 + b"end_header\n", "end_header"),
        (b"solid cube\n", "not a PLY"),
        (b"", "not a PLY"),
        (_header("ascii", 1, [*_POSITION, *_COLOUR, "property list uchar int seen"]) + b"1 2 3 4 5 6 0\n", "seen"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, data: bytes, words: str) -> None:
    assert re.search(words, _refusal(tmp_path, data))


def test_an_empty_cloud_is_read_as_one(tmp_path: Path) -> None:
    for kind in ("ascii", "binary_big_endian"):
        xyz, rgb = _read(tmp_path, _header(kind, 0, _POSITION + _COLOUR))
        assert xyz.shape == rgb.shape == (0, 3)


def test_other_file_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.ply or \.npz"):
        read_points(tmp_path / "cloud.las")
    with pytest.raises(InputError, match=r"cloud\.ply: no such file"):
        read_points(tmp_path / "cloud.ply")


def test_a_million_points_take_seconds_at_most(tmp_path: Path) -> None:
    count = 1_000_000
    xyz = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    rgb = np.random.default_rng(1).integers(0, 256, (count, 3)).astype(np.uint8)
    write_points(tmp_path / "cloud.ply", xyz, rgb)
    start = time.process_time()
    read_xyz, read_rgb = read_points(tmp_path / "cloud.ply")
    assert time.process_time() - start < 2
    assert np.array_equal(read_xyz, xyz)
    assert np.array_equal(read_rgb, rgb)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian"]),
    edits=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=4)), max_size=6),
)
def test_damaged_files_give_points_or_an_input_error(tmp_path: Path, kind: str, edits: list[tuple[int, bytes]]) -> None:
    body = b"3 1 2 3\n1 2 3 4 5 6\n1 2 3 4 5 6\n" if kind == "ascii" else b"\1\0\0\0\5" + _ROW * 2
    data = _header(kind, 2, _POSITION + _COLOUR, ["element a 1", "property list uchar int b"]) + body
    for place, piece in edits:
        place %= len(data) + 1
        data = data[:place] + piece + data[place + 1 :]
    try:
        xyz, rgb = _read(tmp_path, data)
    except InputError:
        return
    assert xyz.shape == rgb.shape
    assert (xyz.dtype, rgb.dtype) == (np.float32, np.uint8)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([b"", b"ply\n", _header("ascii", 1, _POSITION + _COLOUR)]))
def test_random_bytes_are_refused_or_read(tmp_path: Path, data: bytes, start: bytes) -> None:
    error = refusal(lambda: _read(tmp_path, start + data))
    assert error is None or "cloud.ply" in error.problem
