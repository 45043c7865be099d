"""The bundle: a folder with manifest.json, the ONNX graphs and their weights. Read and verified here and nowhere else."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.digest import file_sha256, text_sha256
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.external_data import locations
from videoscene_rt.engines.manifest import FileEntry, Manifest, parse_manifest
from videoscene_rt.engines.plain_files import read_plain
from videoscene_rt.engines.specs import GraphSpec
from videoscene_rt.engines.words import one_line

MANIFEST_FILE = "manifest.json"
_MANIFEST_LIMIT = 16 << 20
_GRAPH_LIMIT = 2 << 30
"""Protobuf's own."""
_WORTH_THREADS = 64 << 20
_NPY_HEADER_LIMIT = 10_000
MAX_BYTES = 64 << 30
"""Most bytes of a bundle: a file that takes no space may claim any size, and every byte is read to verify it."""

_AGAIN = "copy or export the bundle again"

OnVerified = Callable[[int, int], None]
"""Told (bytes verified since the last call, bytes in all); from several threads."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk: ``folder`` and its ``manifest``."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | os.PathLike[str], on_verified: OnVerified | None = None) -> Bundle:
        """Read a bundle and verify the size and SHA-256 of every file that its manifest names.

        Args:
            folder: the bundle.
            on_verified: told how far the verification is.

        Raises:
            InputError: the folder or a file is missing, truncated, altered or not a plain file, the manifest is wrong or newer, or a graph
                takes weights from a file that the manifest does not name.
        """
        path = Path(folder)
        manifest = _read_manifest(path)
        _verify(path, manifest.files, on_verified)
        for graph in manifest.graphs.values():
            _check_weights(path, graph, manifest.files)
        return cls(path, manifest)

    @property
    def digest(self) -> str:
        """One SHA-256 for the whole bundle: over the names and digests of its files."""
        return text_sha256(f"{entry.sha256} {name}" for name, entry in sorted(self.manifest.files.items()))

    def graph(self, name: str) -> GraphSpec:
        """The specification of a graph.

        Raises:
            InputError: the bundle has no such graph.
        """
        try:
            return self.manifest.graphs[name]
        except KeyError:
            known = ", ".join(sorted(self.manifest.graphs))
            raise InputError(f"{self.folder} has no graph {name!r}; it has {known}") from None

    def graph_path(self, name: str) -> Path:
        """Where the ONNX file of a graph lies."""
        return self.folder / self.graph(name).file

    def prompt(self) -> npt.NDArray[np.float32]:
        """The prompt embedding, float32[1, text_tokens, text_width].

        Raises:
            InputError: it is not of the preset's shape, or not finite.
        """
        path = self.folder / self.manifest.prompt_file
        student = self.manifest.preset.student
        expected = (1, student.text_tokens, student.text_width)
        nbytes = prod(expected) * np.dtype(np.float32).itemsize
        try:
            data = read_plain(path, nbytes + _NPY_HEADER_LIMIT)
            # What the header declares is compared before memory is taken for it.
            shape, dtype, start = _npy_header(data)
        except Exception as error:  # NumPy raises many types on damaged headers, tokenize's among them
            raise InputError(f"{path} is not a NumPy array: {one_line(str(error))}", _AGAIN) from error
        if shape != expected or dtype != np.dtype("<f4") or len(data) != start + nbytes:
            raise InputError(f"{path} is not float32{list(expected)}", _AGAIN)
        prompt = np.frombuffer(data, dtype, offset=start).reshape(expected).astype(np.float32)
        if not np.isfinite(prompt).all():
            raise InputError(f"{path} holds values that are not finite", _AGAIN)
        return prompt


def _npy_header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, dtype and where the numbers begin, of a .npy file in C order; ValueError where it is none."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("another version of .npy than 1.0")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    if fortran_order:
        raise ValueError("in Fortran's order")
    return shape, dtype, file.tell()


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST_FILE
    if not folder.is_dir():
        missing = "it is a file, and a bundle is a folder" if folder.exists() else "there is no such folder"
        raise InputError(
            f"{folder} is not a bundle: {missing}",
            "make one: vsrt export --preset tiny --out tiny.bundle",
        )
    try:
        text = read_plain(path, _MANIFEST_LIMIT)
    except FileNotFoundError:
        raise InputError(
            f"{folder} is not a bundle: it has no {MANIFEST_FILE}",
            "make one: vsrt export --preset tiny --out tiny.bundle",
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if len(text) > _MANIFEST_LIMIT:
        raise InputError(f"{path} is larger than {_MANIFEST_LIMIT >> 20} MiB", _AGAIN)
    return parse_manifest(text, str(path))


def _verify(folder: Path, files: dict[str, FileEntry], on_verified: OnVerified | None) -> None:
    total = sum(entry.bytes for entry in files.values())
    if total > MAX_BYTES:
        raise InputError(f"{folder} claims {total:,} bytes; a bundle has at most {MAX_BYTES:,}", _AGAIN)
    for name, entry in files.items():  # before anything is read: this takes no time, and finds most of what is wrong
        _check_size(folder, name, entry)
    tell = None if on_verified is None else lambda count: on_verified(count, total)
    with ExitStack() as stack:
        each = map if total < _WORTH_THREADS else stack.enter_context(ThreadPoolExecutor()).map
        for problem in each(lambda item: _problem(folder, item[0], item[1], tell), files.items()):
            if problem is not None:
                raise InputError(problem, _AGAIN)


def _check_size(folder: Path, name: str, entry: FileEntry) -> None:
    path = folder / name
    try:
        status = path.lstat()
        plain = stat.S_ISREG(status.st_mode) and path.parent.resolve() == folder.resolve() / Path(name).parent
    except FileNotFoundError:
        raise InputError(f"{path} is missing", _AGAIN) from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path} cannot be read: {reason}", _AGAIN) from error
    if not plain:
        raise InputError(f"{path} is not a plain file inside the bundle", _AGAIN)
    if status.st_size != entry.bytes:
        raise InputError(f"{path} has {status.st_size:,} bytes; the manifest says {entry.bytes:,}", _AGAIN)


def _problem(folder: Path, name: str, entry: FileEntry, tell: Callable[[int], None] | None) -> str | None:
    path = folder / name
    try:
        found = file_sha256(path, tell)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if found != entry.sha256:
        return f"{path} was altered: its SHA-256 is {found[:12]}…, the manifest says {entry.sha256[:12]}…"
    return None


def _check_weights(folder: Path, graph: GraphSpec, files: dict[str, FileEntry]) -> None:
    """A graph takes its weights from files beside it that were verified, and from nowhere else."""
    path = folder / graph.file
    if files[graph.file].bytes > _GRAPH_LIMIT:
        raise InputError(f"{path} is larger than {_GRAPH_LIMIT >> 30} GiB, which no ONNX file is", _AGAIN)
    beside = PurePosixPath(graph.file).parent
    for location in sorted(locations(read_plain(path, _GRAPH_LIMIT))):
        if str(beside / location.decode(errors="replace")) not in files:
            named = one_line(repr(location.decode(errors="replace")))
            raise InputError(f"{path} takes weights from {named}, which is not among the bundle's files", _AGAIN)
