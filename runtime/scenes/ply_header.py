"""The header of a PLY file: which elements follow, and how their rows are laid out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videoscene_rt.engines.errors import InputError

_MAX_HEADER = 65536
_MAX_LIST_ROWS = 2**20
_BYTE_ORDERS = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
_TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "float": "f4",
    "double": "f8",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float32": "f4",
    "float64": "f8",
}


@dataclass(frozen=True)
class Property:
    """One column of an element; ``count_dtype`` is set where every value is a list."""

    name: str
    dtype: str
    count_dtype: str | None = None


@dataclass(frozen=True)
class Element:
    """A table of the file: ``count`` rows of the properties, in order."""

    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def has_list(self) -> bool:
        """Whether rows differ in length."""
        return any(prop.count_dtype for prop in self.properties)

    @property
    def smallest_row(self) -> int:
        """Bytes of a binary row whose lists are empty."""
        return sum(np.dtype(prop.count_dtype or prop.dtype).itemsize for prop in self.properties)

    def row_dtype(self, byte_order: str) -> np.dtype[np.void]:
        """The layout of a binary row without lists."""
        return np.dtype([(prop.name, byte_order + prop.dtype) for prop in self.properties])

    def end(self, data: bytes, offset: int, byte_order: str) -> int:
        """Where the element's binary rows end if they begin at ``offset``."""
        if not self.has_list:
            return offset + self.count * self.smallest_row
        if offset + self.count * self.smallest_row > len(data):
            raise InputError(f"truncated inside element {self.name}")
        if self.count > _MAX_LIST_ROWS:  # they are walked through one by one
            raise InputError(
                f"element {self.name} has {self.count:,} rows of lists before the points; the limit is {_MAX_LIST_ROWS:,}",
                "write the points first",
            )
        for _ in range(self.count):
            for prop in self.properties:
                size = np.dtype(prop.dtype).itemsize
                if prop.count_dtype is not None:
                    width = np.dtype(prop.count_dtype).itemsize
                    size *= int.from_bytes(data[offset : offset + width], "little" if byte_order == "<" else "big")
                    offset += width
                offset += size
                if offset > len(data):
                    raise InputError(f"truncated inside element {self.name}")
        return offset


@dataclass(frozen=True)
class Header:
    """What the header says: ``byte_order`` "<" or ">" (None: ASCII), the elements, and where the data begin."""

    byte_order: str | None
    elements: tuple[Element, ...]
    size: int

    @property
    def vertex(self) -> Element:
        """The element that holds the points."""
        return next(element for element in self.elements if element.name == "vertex")


def parse_header(data: bytes) -> Header:
    """Read the header at the start of ``data``; InputError (without a file name) if it is not a PLY's."""
    lines, size = _header_lines(data)
    if len(lines) < 2 or lines[1][:1] != ["format"] or len(lines[1]) != 3 or lines[1][1] not in _BYTE_ORDERS:
        raise InputError("not a PLY file: no line 'format ascii|binary_little_endian|binary_big_endian 1.0'")
    found: list[tuple[str, int, list[Property]]] = []
    for words in lines[2:]:
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "element" and len(words) == 3:
            if not (words[2].isascii() and words[2].isdigit() and len(words[2]) <= 18):
                raise InputError(f"bad number of rows of element {words[1]}: {words[2][:40]!r}")
            found.append((words[1], int(words[2]), []))
        elif words[0] == "property" and found:
            _add_property(found[-1][2], words)
        else:
            raise InputError(f"bad header line: {' '.join(words)[:80]!r}")
    elements = tuple(Element(name, count, tuple(properties)) for name, count, properties in found)
    names = [element.name for element in elements]
    if names.count("vertex") != 1:
        raise InputError("no element vertex" if "vertex" not in names else "two elements vertex")
    for element in elements:
        if not element.properties and element.count:
            raise InputError(f"element {element.name} has no properties")
    return Header(_BYTE_ORDERS[lines[1][1]], elements, size)


def _header_lines(data: bytes) -> tuple[list[list[str]], int]:
    head = data[:_MAX_HEADER]
    if head.split(b"\n", 1)[0].strip() != b"ply":
        raise InputError("not a PLY file")
    lines: list[list[str]] = []
    offset = 0
    while True:
        end = head.find(b"\n", offset)
        if end < 0:
            raise InputError("not a PLY file: no line 'end_header'")
        words = head[offset:end].decode("latin-1").split()
        offset = end + 1
        if words == ["end_header"]:
            return lines, offset
        lines.append(words)


def _add_property(properties: list[Property], words: list[str]) -> None:
    is_list = words[1:2] == ["list"]
    types, name = words[2:-1] if is_list else words[1:-1], words[-1]
    if len(words) != (5 if is_list else 3) or any(word not in _TYPES for word in types):
        raise InputError(f"bad header line: {' '.join(words)[:80]!r}")
    if is_list and _TYPES[types[0]][0] == "f":
        raise InputError(f"the length of list {name} is not an integer")
    if any(prop.name == name for prop in properties):
        raise InputError(f"property {name} twice")
    properties.append(
        Property(name, _TYPES[types[1]], _TYPES[types[0]]) if is_list else Property(name, _TYPES[types[0]])
    )
