"""The PLY format (Turk, 1994) as a coloured point cloud.

A reader of our own, because trimesh (5.2) is lenient where a vehicle must not be: it gives the rows that are left of a
truncated ASCII file as the whole cloud and wraps a colour of 300 to 44.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.files import read_bytes
from videoscene_rt.scenes.ply_header import Element, Header, parse_header

MAX_BYTES = 2**31
"""Largest file read, bytes."""

_MAX_ROW = 2**17
"""Longest row of an ASCII file, bytes: a header has at most some thousand properties."""

_POSITION = ("x", "y", "z")
_COLOUR = ("red", "green", "blue")


def read_ply(path: Path) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """xyz float32[N,3] and rgb uint8[N,3] of an ASCII or binary PLY's vertices, in order, NaN kept.

    x, y, z may be of any number type (double is rounded to float32); red, green, blue are uchar. Other properties and
    elements are skipped. Memory is bounded by the size of the file, whatever its header declares.

    Raises:
        InputError: naming the file and what is wrong in it.
    """
    data = read_bytes(path, MAX_BYTES)
    try:
        header = parse_header(data)
        _check_vertex(header.vertex)
        table = _ascii_vertices(header, data) if header.byte_order is None else _binary_vertices(header, data)
    except ValueError as error:
        problem = error.problem if isinstance(error, InputError) else str(error)
        remedy = error.remedy if isinstance(error, InputError) else None
        raise InputError(f"{path}: {problem}", remedy) from error
    xyz = np.empty((len(table), 3), dtype=np.float32)
    rgb = np.empty((len(table), 3), dtype=np.uint8)
    with np.errstate(over="ignore"):
        for i in range(3):
            xyz[:, i] = table[_POSITION[i]]
            rgb[:, i] = table[_COLOUR[i]]
    return xyz, rgb


def write_ply(path: Path, xyz: NDArray[np.float32], rgb: NDArray[np.uint8]) -> None:
    """Write float32[N,3] and uint8[N,3] as binary little-endian PLY."""
    table = np.empty(len(xyz), dtype=[(name, "<f4") for name in _POSITION] + [(name, "u1") for name in _COLOUR])
    for i in range(3):
        table[_POSITION[i]] = xyz[:, i]
        table[_COLOUR[i]] = rgb[:, i]
    properties = [f"property float {name}" for name in _POSITION] + [f"property uchar {name}" for name in _COLOUR]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(xyz)}", *properties, "end_header", ""]
    path.write_bytes("\n".join(lines).encode("ascii") + table.tobytes())


def _check_vertex(vertex: Element) -> None:
    types = {prop.name: prop.dtype for prop in vertex.properties}
    for name in _POSITION:
        if name not in types:
            raise InputError(f"the points have no property {name}")
    for name in _COLOUR:
        if name not in types:
            raise InputError(f"the points have no colours: no property {name}", "write red, green and blue as uchar")
        if types[name] != "u1":
            raise InputError(f"property {name} is not uchar", "write red, green and blue as uchar, 0 to 255")
    for prop in vertex.properties:
        if prop.count_dtype is not None:
            raise InputError(f"the points have a list property, {prop.name}", "write the points without it")


def _binary_vertices(header: Header, data: bytes) -> NDArray[np.void]:
    offset = header.size
    for element in header.elements:
        if element is header.vertex:
            break
        offset = element.end(data, offset, header.byte_order or "<")
    dtype = header.vertex.row_dtype(header.byte_order or "<")
    stop = offset + header.vertex.count * dtype.itemsize
    after = header.elements[header.elements.index(header.vertex) + 1 :]
    least = stop + sum(element.count * element.smallest_row for element in after)
    if least > len(data):
        raise InputError(f"truncated: {len(data):,} bytes where the header promises at least {least:,}")
    if least < len(data) and not any(element.has_list for element in after):
        raise InputError(f"{len(data) - least:,} bytes more than the header promises")
    return np.frombuffer(data[offset:stop], dtype=dtype)


def _ascii_vertices(header: Header, data: bytes) -> dict[str, NDArray[np.float64]] | NDArray[np.void]:
    vertex = header.vertex
    total = sum(element.count for element in header.elements)
    found = sum(1 for _ in _rows(header, data))
    if found < total:
        raise InputError(f"truncated: {found:,} rows where the header promises {total:,}")
    if found > total:
        raise InputError(f"{found - total:,} rows more than the header promises")
    first = sum(element.count for element in header.elements[: header.elements.index(vertex)])
    columns = len(vertex.properties)
    table = np.empty(vertex.count, dtype=[(prop.name, "f8") for prop in vertex.properties])
    if not vertex.count:
        return table
    values = _numbers(lambda: itertools.islice(_rows(header, data), first, first + vertex.count), vertex.count, columns)
    for i, prop in enumerate(vertex.properties):
        table[prop.name] = values[:, i]
        if prop.name in _COLOUR:
            with np.errstate(invalid="ignore"):
                bad = ~((values[:, i] >= 0) & (values[:, i] <= 255) & (values[:, i] == np.floor(values[:, i])))
            if bad.any():
                index = int(bad.argmax())
                raise InputError(f"point {index}: {prop.name} is {values[index, i]:g}; needs a whole number, 0 to 255")
    return table


def _rows(header: Header, data: bytes) -> Iterator[bytes]:
    """The lines behind the header that are not empty, one at a time: as objects they would take many times their bytes."""
    file = io.BytesIO(data)
    file.seek(header.size)
    while line := file.readline(_MAX_ROW + 1):
        if len(line) > _MAX_ROW:
            raise InputError(f"a row is longer than {_MAX_ROW:,} bytes")
        if not line.isspace():
            yield line


def _numbers(rows: Callable[[], Iterator[bytes]], count: int, columns: int) -> NDArray[np.float64]:
    """The rows as float64[count,columns]; InputError names the first point that is not so many numbers."""
    values: NDArray[np.float64] | None
    try:
        # latin-1 never fails to decode: a stray byte is then no number.
        values = np.loadtxt((row.decode("latin-1") for row in rows()), dtype=np.float64, comments=None, ndmin=2)
    except ValueError:
        values = None
    if values is not None and values.shape == (count, columns):
        return values
    # Something is wrong somewhere; look for it row by row, to say it in the words of the file. Points count from 0, as in NumPy.
    for index, row in enumerate(rows()):
        words = row.decode("latin-1").split()
        if len(words) != columns:
            raise InputError(f"point {index} has {len(words)} values; the header promises {columns}")
        for word in words:
            try:
                float(word)
            except ValueError:
                raise InputError(f"point {index}: {word[:40]!r} is not a number") from None
    raise InputError("the points are not a table of numbers")
