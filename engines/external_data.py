"""Where an ONNX file says that its weights lie, read without onnx."""

from __future__ import annotations

import re

# StringStringEntryProto (onnx.proto): key, field 1, "location"; value, field 2: a length, a varint, and that many bytes.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x80-\xff]{0,4}[\x00-\x7f])")


def locations(onnx: bytes) -> frozenset[bytes]:
    """The names of the files that a serialised model takes weights from, relative to its own folder, as it spells them."""
    found = set()
    for match in _LOCATION.finditer(onnx):
        length = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(match[1]))
        found.add(onnx[match.end() : match.end() + length])
    return frozenset(found)
