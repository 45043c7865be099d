"""The TensorRT plug-in's library as a file: the one a build is given, and the copy that lies beside an engine. Nothing is loaded here.

The library is machine code that runs in whatever process loads it, so its bytes are looked at first: they say which TensorRT's headers it
was built with, and registering it with another one would call through a table of functions in another order. A file that ends too early
would end the process as well: the loader reads what it has mapped behind the end.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.plain_files import read_plain

PLUGIN_FILE = "plugin.so"
"""What it is called beside an engine."""

_MOST = 1 << 30
_ELF = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_PARTS_AT, _PARTS_SIZE_AT, _PART_IN_FILE = 32, 54, 8
"""Where an ELF file says where its program headers are, how large each is and how many; where one says which bytes it is (elf.h)."""

_BUILT_FOR = re.compile(rb"videoscene-rt plug-in for TensorRT (\d{1,4})\.(\d{1,4});")
_BUILD_IT = "build libvideoscene_rt_plugin.so with this TensorRT's headers (docs/kernels.md)"


@dataclass(frozen=True)
class Plugin:
    """A library's file, and the hex SHA-256 that its bytes must have."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class GivenPlugin:
    """The library that a build was given: its bytes, read once, and their hex SHA-256."""

    data: bytes
    sha256: str

    @classmethod
    def read(cls, path: Path, version: str) -> GivenPlugin:
        """A library from its user's file; a link to one is followed.

        Args:
            path: where it is.
            version: of the TensorRT that shall load it.

        Raises:
            InputError: there is no such file, or it is not this project's plug-in.
            BackendError: it was built for another TensorRT.
        """
        try:
            data = read_plain(path.resolve(), _MOST)
        except OSError as error:
            raise InputError(f"the plug-in {path} cannot be read: {error.strerror or error}", _BUILD_IT) from error
        if len(data) > _MOST or not data.startswith(_ELF) or _BUILT_FOR.search(data) is None:
            raise InputError(f"{path} is not the plug-in of videoscene-rt", _BUILD_IT)
        check_library(data, path, version)
        return cls(data, hashlib.sha256(data).hexdigest())


def check_library(data: bytes, path: Path, version: str) -> None:
    """Whether a library is whole and was built for a TensorRT: for the same major version, and for none that is newer.

    Args:
        data: the library.
        path: for the message.
        version: as the package spells it, like "8.6.1".

    Raises:
        BackendError: it is not, was not, or does not say.
    """
    if not _is_whole(data):
        raise BackendError(f"{path} ends too early", _BUILD_IT)
    found = _BUILT_FOR.search(data)
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if found is None or numbers is None:
        raise BackendError(f"{path} does not say for which TensorRT it was built", _BUILD_IT)
    built, here = (int(found[1]), int(found[2])), (int(numbers[1]), int(numbers[2]))
    if built[0] != here[0] or built[1] > here[1]:
        raise BackendError(f"{path} was built for TensorRT {built[0]}.{built[1]}, here is {version}", _BUILD_IT)


def _is_whole(data: bytes) -> bool:
    """Whether everything that the loader would map is in the file."""
    try:
        (first,) = struct.unpack_from("<Q", data, _PARTS_AT)
        size, count = struct.unpack_from("<HH", data, _PARTS_SIZE_AT)
        parts = (struct.unpack_from("<Q16xQ", data, first + index * size + _PART_IN_FILE) for index in range(count))
        return data.startswith(_ELF) and all(offset + length <= len(data) for offset, length in parts)
    except struct.error:
        return False
