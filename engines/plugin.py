"""The TensorRT plug-in's library as a file: the one a build is given, and the copy that lies beside an engine. Nothing is loaded here.

The library is machine code that runs in whatever process loads it, so its bytes are looked at first: they say which TensorRT's headers it
was built with, and registering it with another one would call through a table of functions in another order.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.plain_files import read_plain

PLUGIN_FILE = "plugin.so"
"""What it is called beside an engine."""

_MOST = 1 << 30
_ELF = b"\x7fELF"
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
        check_built_for(data, path, version)
        return cls(data, hashlib.sha256(data).hexdigest())


def check_built_for(data: bytes, path: Path, version: str) -> None:
    """Whether a library was built for a TensorRT: for the same major version, and for none that is newer.

    Args:
        data: the library.
        path: for the message.
        version: as the package spells it, like "8.6.1".

    Raises:
        BackendError: it was not, or does not say.
    """
    found = _BUILT_FOR.search(data)
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if found is None or numbers is None:
        raise BackendError(f"{path} does not say for which TensorRT it was built", _BUILD_IT)
    built, here = (int(found[1]), int(found[2])), (int(numbers[1]), int(numbers[2]))
    if built[0] != here[0] or built[1] > here[1]:
        raise BackendError(f"{path} was built for TensorRT {built[0]}.{built[1]}, here is {version}", _BUILD_IT)
