"""Mutations as Hypothesis strategies: of bytes, of JSON documents, and of archives and headers that almost fit."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from typing import Any

import numpy as np
from hypothesis import strategies as st

_TOKENS = (
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b"\xff" * 4,
    b"\xff" * 8,
    b"\x80\0\0\0",
    b"\x7f\xff\xff\xff",
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"18446744073709551616",
    b"9" * 40,
    b"..",
    b"../",
    b"/dev/zero",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'"',
)
_WORDS: dict[str, tuple[bytes, ...]] = {
    "ply": (
        b"ply\n",
        b"format ascii 1.0\n",
        b"format binary_little_endian 1.0\n",
        b"format binary_big_endian 1.0\n",
        b"element vertex ",
        b"element face ",
        b"property list uchar int i\n",
        b"property list uint double d\n",
        b"property float x\n",
        b"property double y\n",
        b"property uchar red\n",
        b"property char x\n",
        b"end_header\n",
        b"comment ",
        b"obj_info ",
        b" 999999999999999999\n",
        b" 4294967296\n",
        b" 0\n",
        b"nan ",
        b"inf ",
        b"1_0 ",
        b"0x1p3 ",
    ),
    "npz": (
        b"PK\x03\x04",
        b"PK\x01\x02",
        b"PK\x05\x06",
        b"PK\x06\x07",
        b"PK\x06\x06",
        b"\x93NUMPY",
        b"\x01\x00",
        b"\x02\x00",
        b"\x03\x00",
        b"xyz.npy",
        b"'|O'",
        b"'<f4'",
        b"(3, 3)",
    ),
    "npy": (
        b"\x93NUMPY",
        b"\x01\x00",
        b"\x02\x00",
        b"'|O'",
        b"'<f4'",
        b"'descr'",
        b"True",
        b"(1, 4, 16)",
        b"(-1,)",
        b"(1 << 60,)",
        b"(",
        b"#",
        b"lambda: 0",
    ),
}

_NUMBERS = st.sampled_from(
    [0, 1, -1, 2, 16, 255, 2**31, 2**31 - 1, 2**32, 2**53 + 1, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, 1e-320]
)
_STRINGS = st.sampled_from(
    ["", ".", "..", "../x", "/", "a\0b", "\n", "\x1b[2J", "é", "x" * 300, "tiny", "cogvideox", "seed", "0" * 64]
) | st.text(st.characters(codec="utf-8"), max_size=8)
_JUNK = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.integers() | st.floats() | _STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_STRINGS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...], kind: str = "") -> bytes:
    """One of the seeds with one to six changes: bytes, pieces, words of the format, pieces of another seed."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 8) | st.integers(0, max(1, len(data))))
        what = draw(st.integers(0, 6))
        if what == 0 and at < len(data):
            data = data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]
        elif what == 1:
            data = data[:at] + data[at + length :]
        elif what == 2:
            data = data[:at] + draw(st.sampled_from(_TOKENS + _WORDS.get(kind, ()))) + data[at:]
        elif what == 3:
            token = draw(st.sampled_from(_TOKENS + _WORDS.get(kind, ())))
            data = data[:at] + token + data[at + len(token) :]
        elif what == 4:
            data = data[:at] + draw(st.binary(max_size=8)) + data[at + length :]
        elif what == 5:
            data = data[:at] + data[max(0, at - length) : at] * draw(st.integers(1, 3)) + data[at:]
        else:
            other = draw(st.sampled_from(seeds))
            data = data[:at] + other[draw(st.integers(0, len(other))) :]
    return data


def _places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at]
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        found += _places(value, (*at, key))
    return found


@st.composite
def mutated_json(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """One of the seeds as a document with one to four values replaced, removed, renamed, repeated, or taken from elsewhere in it."""
    document: Any = copy.deepcopy(json.loads(draw(st.sampled_from(seeds))))
    for _ in range(draw(st.integers(1, 4))):
        *above, last = draw(st.sampled_from(_places(document)[1:] or [(None,)]))
        if last is None:
            break
        holder = document
        for key in above:
            holder = holder[key]
        what = draw(st.integers(0, 4))
        if what == 0:
            del holder[last]
        elif what == 1 and isinstance(holder, dict):
            holder[draw(_STRINGS)] = holder.pop(last)
        elif what == 2 and isinstance(holder, list):
            holder.extend([holder[last]] * draw(st.sampled_from([1, 2, 100])))
        elif what == 3:
            other: Any = document
            for key in draw(st.sampled_from(_places(document))):
                other = other[key]
            holder[last] = copy.deepcopy(other)
        else:
            holder[last] = draw(_JUNK)
        if len(_places(document)) > 20_000:
            break
    return json.dumps(document).encode()


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """An .npz whose members have headers of every version, declared lengths, dtypes and shapes that may not fit what follows."""
    file = io.BytesIO()
    method = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in draw(
            st.lists(st.sampled_from(["xyz.npy", "rgb.npy", "xyz", "../xyz.npy", "more.npy"]), max_size=4, unique=True)
        ):
            archive.writestr(name, draw(arrays_in_files()))
    return file.getvalue()


@st.composite
def arrays_in_files(draw: st.DrawFn) -> bytes:
    """A .npy that may not be what it says."""
    count = draw(st.integers(0, 5))
    shape = draw(
        st.sampled_from([(count, 3), (3, count), (count,), (2**40, 3), (-1, 3), (2**62, 2**62), (1, 4, 16), ()])
    )
    descr = draw(
        st.sampled_from(
            ["<f4", ">f4", "<f8", "|u1", "|O", "<f2", "|V12", "<U3", "<c8", "|b1", [("a", "<f4")], "<M8[s]"]
        )
    )
    text = repr({"descr": descr, "fortran_order": draw(st.booleans()), "shape": shape})
    text = draw(
        st.sampled_from([text, text + "\n", text * 2, "[" * 500, "{'descr': " + "(" * 300, "{}", "\0", text[:-1]])
    )
    version = draw(st.sampled_from([(1, 0), (2, 0), (3, 0), (0, 0), (9, 9)]))
    declared = draw(st.sampled_from([len(text), len(text) + 1, 0, 65535, 2**31])) if draw(st.booleans()) else len(text)
    width = 2 if version == (1, 0) else 4
    length = (declared % (1 << 8 * width)).to_bytes(width, "little")
    body = draw(
        st.sampled_from([np.zeros((count, 3), "<f4").tobytes(), np.zeros((count, 3), "u1").tobytes(), bytes(256)])
        | st.binary(max_size=64)
    )
    return b"\x93NUMPY" + bytes(version) + length + text.encode("latin-1") + body
