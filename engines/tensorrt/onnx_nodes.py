"""The nodes of an ONNX file, read without the onnx package: the builder's process needs names and operators, and nothing else.

Only the protocol buffers' wire format is read (https://protobuf.dev/programming-guides/encoding), for the fields of onnx.proto
that are named below; everything else, weights above all, is stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH, _GRAPH_NODE = 7, 1
_NODE_INPUT, _NODE_NAME, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 3, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_STRING = 1, 4


@dataclass(frozen=True)
class Node:
    """A node of the main graph; ``inputs`` counts them, without the empty names at the end; ``texts`` are its text attributes."""

    name: str
    operator: str
    inputs: int
    texts: dict[str, str] = field(default_factory=dict)


def read_nodes(path: Path) -> tuple[Node, ...]:
    """The nodes of an ONNX file, in its order.

    Raises:
        ValueError: it is not an ONNX file.
        OSError: it cannot be read.
    """
    graphs = [value for number, value in _fields(memoryview(path.read_bytes())) if number == _MODEL_GRAPH]
    if not graphs:
        raise ValueError("it holds no graph")
    return tuple(_node(value) for number, value in _fields(graphs[-1]) if number == _GRAPH_NODE)


def _node(data: memoryview) -> Node:
    name, operator, inputs, texts = "", "", [""], {}
    for number, value in _fields(data):
        if number == _NODE_INPUT:
            inputs.append(_text(value))
        elif number == _NODE_NAME:
            name = _text(value)
        elif number == _NODE_OPERATOR:
            operator = _text(value)
        elif number == _NODE_ATTRIBUTE:
            parts = dict(_fields(value))
            if _ATTRIBUTE_STRING in parts:
                texts[_text(parts.get(_ATTRIBUTE_NAME, memoryview(b"")))] = _text(parts[_ATTRIBUTE_STRING])
    return Node(name, operator, max(i for i, tensor in enumerate(inputs) if tensor or i == 0), texts)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of every length-delimited field of a message; the others are stepped over."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            _, position = _varint(data, position)
            continue
        if kind == _BYTES:
            length, position = _varint(data, position)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} at byte {position}")
        if position + length > len(data):
            raise ValueError(f"a field of {length} bytes at byte {position} ends behind the end")
        if kind == _BYTES:
            yield key >> 3, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError(f"a number without an end at byte {position}")


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")
