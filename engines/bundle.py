"""The bundle: a folder with manifest.json, the ONNX graphs and their weights. Read and verified here and nowhere else."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.digest import file_sha256, text_sha256
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.manifest import FileEntry, Manifest, parse_manifest
from videoscene_rt.engines.specs import GraphSpec

MANIFEST_FILE = "manifest.json"
_MANIFEST_LIMIT = 16 << 20
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
            InputError: the folder or a file is missing, truncated, altered or not a plain file, or the manifest is wrong or newer.
        """
        path = Path(folder)
        manifest = _read_manifest(path)
        _verify(path, manifest.files, on_verified)
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
        try:
            prompt = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path} is not a NumPy array: {error}", _AGAIN) from error
        if not isinstance(prompt, np.ndarray) or prompt.shape != expected or prompt.dtype != np.float32:
            raise InputError(f"{path} is not float32{list(expected)}", _AGAIN)
        if not np.isfinite(prompt).all():
            raise InputError(f"{path} holds values that are not finite", _AGAIN)
        return prompt


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST_FILE
    if not folder.is_dir():
        missing = "it is a file, and a bundle is a folder" if folder.exists() else "there is no such folder"
        raise InputError(
            f"{folder} is not a bundle: {missing}",
            "make one: vsrt export --preset tiny --out tiny.bundle",
        )
    try:
        if path.stat().st_size > _MANIFEST_LIMIT:
            raise InputError(f"{path} is larger than {_MANIFEST_LIMIT >> 20} MiB", _AGAIN)
        text = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{folder} is not a bundle: it has no {MANIFEST_FILE}",
            "make one: vsrt export --preset tiny --out tiny.bundle",
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return parse_manifest(text, str(path))


def _verify(folder: Path, files: dict[str, FileEntry], on_verified: OnVerified | None) -> None:
    total = sum(entry.bytes for entry in files.values())
    tell = None if on_verified is None else lambda count: on_verified(count, total)
    with ThreadPoolExecutor() as pool:
        for problem in pool.map(lambda item: _problem(folder, item[0], item[1], tell), files.items()):
            if problem is not None:
                raise InputError(problem, _AGAIN)


def _problem(folder: Path, name: str, entry: FileEntry, tell: Callable[[int], None] | None) -> str | None:
    path = folder / name
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or path.parent.resolve() != folder.resolve() / Path(name).parent:
            return f"{path} is not a plain file inside the bundle"
        if status.st_size != entry.bytes:
            return f"{path} has {status.st_size:,} bytes; the manifest says {entry.bytes:,}"
        found = file_sha256(path, tell)
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if found != entry.sha256:
        return f"{path} was altered: its SHA-256 is {found[:12]}…, the manifest says {entry.sha256[:12]}…"
    return None
