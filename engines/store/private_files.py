"""Files and folders that belong to their owner alone and are no links: what an engine, which is executable code, has to be."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.words import one_line

PARTIAL = ".partial"
"""How names end of what is not whole yet."""

_JSON_LIMIT = 16 << 20
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

Model = TypeVar("Model", bound=BaseModel)


def check_folder(folder: Path) -> None:
    """A real folder that nobody but its owner can write.

    Raises:
        BackendError: it is not.
    """
    try:
        mode = folder.lstat().st_mode
    except OSError as error:
        raise BackendError(f"{folder} is missing: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        raise BackendError(f"{folder} is not a folder inside the bundle")
    if mode & _OTHERS_WRITE:
        raise BackendError(
            f"{folder} can be written by others, and an engine is executable code",
            f"chmod -R go-w {shlex.quote(str(folder))}",
        )


def check_file(path: Path, size: int | None) -> None:
    """A plain file that nobody but its owner can write, of this size if one is given.

    Raises:
        BackendError: it is not.
    """
    try:
        status = path.lstat()
    except OSError as error:
        raise BackendError(f"{path} is missing: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise BackendError(f"{path} is not a plain file inside the bundle")
    if status.st_mode & _OTHERS_WRITE:
        raise BackendError(
            f"{path} can be written by others, and an engine is executable code", f"chmod go-w {shlex.quote(str(path))}"
        )
    if size is not None and status.st_size != size:
        raise BackendError(f"{path} has {status.st_size:,} bytes; the record says {size:,}")


def read_private(path: Path, size: int | None = None) -> bytes:
    """The bytes of such a file.

    Raises:
        BackendError: it is none, or cannot be read.
    """
    check_file(path, size)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()
    except OSError as error:
        raise BackendError(f"{path} cannot be read: {error.strerror}") from error


def read_model(path: Path, model: type[Model]) -> Model:
    """Such a file as a document.

    Raises:
        BackendError: it is none, too large, or is not what the model says.
    """
    check_file(path, None)
    if path.lstat().st_size > _JSON_LIMIT:
        raise BackendError(f"{path} is larger than {_JSON_LIMIT >> 20} MiB")
    try:
        return model.model_validate_json(read_private(path))
    except (ValidationError, RecursionError) as error:
        detail = f": {_first_problem(error)}" if isinstance(error, ValidationError) else ""
        raise BackendError(f"{path} cannot be understood{detail}") from error


def _first_problem(error: ValidationError) -> str:
    first: Any = error.errors(include_url=False)[0]
    return f"{one_line('.'.join(map(str, first['loc']))) or 'the document'}: {one_line(first['msg'])}"


def write_model(path: Path, model: BaseModel) -> None:
    """Write a document with one rename: a reader sees the old one or the new one. It belongs to its owner alone."""
    temporary = path.with_name(f".{path.name}{PARTIAL}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(model.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def flush(path: Path) -> None:
    """Bring a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a file or a folder, without following a link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
