"""NumPy's .npz as a point file, read without trusting what it declares."""

from __future__ import annotations

import io
import os
import zipfile
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.files import reason, regular_file

MAX_POINTS = 2**25
"""Most points of a file."""

MAX_BYTES = 2**31
"""Largest file read, bytes."""

_MAGIC = b"PK\x03\x04"
_MAX_DIRECTORY = 2**20
_MAX_HEADER = 2**16


def read_npz(path: Path) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Arrays ``xyz`` (float32 or float64, N×3) and ``rgb`` (uint8, N×3) of an .npz; other arrays are ignored.

    The header of an array is checked before memory is taken for it, so is the archive's list of its members, and objects
    (pickles) are never read.

    Raises:
        InputError: naming the file and the array.
    """
    if regular_file(path).stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES:,} bytes")
    try:
        with _Careful(path) as file, zipfile.ZipFile(file) as archive:
            file.begin()
            xyz = _read_array(path, archive, "xyz", ("float32", "float64"))
            rgb = _read_array(path, archive, "rgb", ("uint8",))
    except InputError:
        raise
    except Exception as error:  # zipfile and NumPy raise many types on damaged files: all mean the same to the caller
        raise InputError(f"{path}: cannot be read as .npz: {reason(error)}") from error
    if len(rgb) != len(xyz):
        raise InputError(f"{path}: rgb: {len(rgb)} colours for {len(xyz)} points")
    with np.errstate(over="ignore"):
        return xyz.astype(np.float32, copy=False), rgb


class _Careful(io.FileIO):
    """A file that gives at most ``most`` bytes at a time: zipfile reads a list of members as long as the file says it is."""

    most: int | None = _MAX_DIRECTORY

    def begin(self) -> None:
        """The list of members has been read: give whatever is asked for.

        Raises:
            ValueError: the archive stands behind something else, which zipfile takes and NumPy does not.
        """
        self.most = None
        self.seek(0)
        if self.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as a zip archive")

    def read(self, size: int | None = -1, /) -> Any:
        """See `io.FileIO.read`.

        Raises:
            ValueError: more is asked for.
        """
        wanted = os.fstat(self.fileno()).st_size - self.tell() if size is None or size < 0 else size
        if self.most is not None and wanted > self.most:
            raise ValueError(f"its list of members is longer than {self.most:,} bytes")
        return super().read(size)


class _Header:
    """The beginning of an array's file, in small pieces: NumPy reads a header as long as the file says it is, and looks at it then."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes.

        Raises:
            ValueError: more is asked for than any header has.
        """
        if not 0 <= size <= _MAX_HEADER:
            raise ValueError(f"an array's header is longer than {_MAX_HEADER:,} bytes")
        return self._file.read(size)


def _read_array(path: Path, archive: zipfile.ZipFile, name: str, dtypes: tuple[str, ...]) -> NDArray[Any]:
    if f"{name}.npy" not in archive.namelist():
        missing = "no colours" if name == "rgb" else "no positions"
        raise InputError(f"{path}: {missing}: no array named {name}", "save with np.savez(path, xyz=…, rgb=…)")
    with archive.open(f"{name}.npy") as file:
        head = _Header(file)
        version = np.lib.format.read_magic(head)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise InputError(f"{path}: {name}: .npy version {version[0]}.{version[1]}; known are 1.0 and 2.0")
        shape, fortran_order, dtype = read_header(head)
        if dtype.newbyteorder("=").name not in dtypes or dtype.hasobject:
            raise InputError(f"{path}: {name}: dtype {dtype}; needs {' or '.join(dtypes)}")
        if len(shape) != 2 or shape[1] != 3 or shape[0] < 0:
            raise InputError(f"{path}: {name}: shape {list(shape)}; needs [N,3]")
        if shape[0] > MAX_POINTS:
            raise InputError(f"{path}: {name}: {shape[0]:,} points; the limit is {MAX_POINTS:,}")
        size = prod(shape) * dtype.itemsize
        data = file.read(size)
        if len(data) != size or file.read(1):  # reading to the end also verifies the archive's checksum
            raise InputError(f"{path}: {name}: truncated, or longer than its shape {list(shape)}")
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran_order else "C")
    return np.ascontiguousarray(array, dtype=dtype.newbyteorder("="))
