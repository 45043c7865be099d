"""NPZ point files: strict about names, dtypes and shapes, and safe against what a header declares."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.point_files import read_points

_XYZ = np.arange(12, dtype=np.float32).reshape(4, 3)
_RGB = np.arange(12, dtype=np.uint8).reshape(4, 3)


def _write(folder: Path, **arrays: Any) -> Path:
    np.savez_compressed(folder / "cloud.npz", **arrays)
    return folder / "cloud.npz"


def _declaring(folder: Path, shape: tuple[int, ...], descr: str = "<f4") -> Path:
    """A file whose xyz declares a shape and holds nothing."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    colours = io.BytesIO()
    np.save(colours, _RGB)
    with zipfile.ZipFile(folder / "cloud.npz", "w") as archive:
        archive.writestr("xyz.npy", header.getvalue())
        archive.writestr("rgb.npy", colours.getvalue())
    return folder / "cloud.npz"


def test_orders_types_and_other_arrays(tmp_path: Path) -> None:
    for xyz in (_XYZ, np.asfortranarray(_XYZ), _XYZ.astype(">f4"), _XYZ.astype(np.float64)):
        read_xyz, read_rgb = read_points(_write(tmp_path, xyz=xyz, rgb=np.asfortranarray(_RGB), intensity=np.zeros(4)))
        assert read_xyz.dtype == np.float32
        assert read_xyz.flags.c_contiguous
        assert np.array_equal(read_xyz, _XYZ)
        assert np.array_equal(read_rgb, _RGB)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"xyz": _XYZ}, "no colours"),
        ({"rgb": _RGB}, "no positions"),
        ({"xyz": _XYZ, "rgb": _RGB[:3]}, "3 colours for 4 points"),
        ({"xyz": _XYZ.astype(np.int32), "rgb": _RGB}, "xyz: dtype int32"),
        ({"xyz": _XYZ, "rgb": _RGB.astype(np.float32)}, "rgb: dtype float32"),
        ({"xyz": _XYZ.reshape(3, 4), "rgb": _RGB}, r"xyz: shape \[3, 4\]"),
        ({"xyz": _XYZ[0], "rgb": _RGB}, r"xyz: shape \[3\]"),
        ({"xyz": np.array([[None] * 3] * 4), "rgb": _RGB}, "xyz: dtype object"),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_points(_write(tmp_path, **arrays))
    assert "cloud.npz" in caught.value.problem


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "cloud.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError):
        read_points(tmp_path / "cloud.npz")
    with pytest.raises(InputError):
        read_points(_write(tmp_path, xyz=np.array([[Bomb()] * 3], dtype=object), rgb=_RGB[:1]))
    assert not (tmp_path / "ran").exists()


def test_a_huge_shape_takes_no_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    with pytest.raises(InputError, match="limit"):
        read_points(_declaring(tmp_path, (10**12, 3)))
    with pytest.raises(InputError, match="truncated"):
        read_points(_declaring(tmp_path, (30_000_000, 3)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_more_data_than_the_shape_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "cloud.npz", "w") as archive:
        for name, array in (("xyz", _XYZ), ("rgb", _RGB)):
            file = io.BytesIO()
            np.save(file, array)
            archive.writestr(f"{name}.npy", file.getvalue() + b"x")
    with pytest.raises(InputError, match="xyz: truncated, or longer"):
        read_points(tmp_path / "cloud.npz")


def test_truncated_and_altered_files_are_refused(tmp_path: Path) -> None:
    whole = _write(tmp_path, xyz=_XYZ, rgb=_RGB).read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cloud.npz").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cloud\.npz: "):
            read_points(tmp_path / "cloud.npz")


def test_a_stored_value_that_was_altered_fails_the_checksum(tmp_path: Path) -> None:
    np.savez(tmp_path / "cloud.npz", xyz=_XYZ, rgb=_RGB)
    data = bytearray((tmp_path / "cloud.npz").read_bytes())
    place = data.index(_XYZ.tobytes())
    data[place + 5] ^= 1
    (tmp_path / "cloud.npz").write_bytes(data)
    with pytest.raises(InputError, match="CRC"):
        read_points(tmp_path / "cloud.npz")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_files_give_points_or_an_input_error(tmp_path: Path, edits: list[tuple[int, int]]) -> None:
    file = io.BytesIO()
    np.savez(file, xyz=_XYZ, rgb=_RGB)
    data = bytearray(file.getvalue())
    for place, value in edits:
        data[place % len(data)] = value
    (tmp_path / "cloud.npz").write_bytes(data)
    try:
        xyz, rgb = read_points(tmp_path / "cloud.npz")
    except InputError:
        return
    assert xyz.shape == rgb.shape
