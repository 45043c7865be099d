"""Where engines are kept: ``engines/`` inside the bundle, one folder an engine, read and verified here and nowhere else.

A folder is written under another name and renamed when it is whole. Everything belongs to its owner alone: an engine is
executable code. Nothing outside the bundle is ever read: no link is followed.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from videoscene_rt.engines.digest import file_sha256
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.manifest import FileEntry
from videoscene_rt.engines.store.identity import EngineIdentity
from videoscene_rt.engines.store.located import helped_by
from videoscene_rt.engines.store.private_files import (
    PARTIAL,
    check_file,
    check_folder,
    flush,
    read_model,
    remove_tree,
    write_model,
)
from videoscene_rt.engines.store.records import EngineRecord, Selected
from videoscene_rt.engines.store.stored_engine import StoredEngine

FOLDER = "engines"
_IN_THE_WAY = "remove it, and build again"
IDENTITY_FILE, RECORD_FILE, SELECTED_FILE = "identity.json", "record.json", "selected.json"


class EngineStore:
    """The engines of one bundle.

    Args:
        bundle: the bundle's folder.
    """

    def __init__(self, bundle: Path) -> None:
        self.folder = bundle / FOLDER

    def names(self) -> tuple[str, ...]:
        """The folders that look like engines, whole or not, by name."""
        if not self.folder.is_dir():
            return ()
        return tuple(
            sorted(path.name for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        )

    def open(self, name: str) -> StoredEngine:
        """Look over an engine's folder: plain files, private, of the recorded sizes, and an identity that fits the name.

        Raises:
            BackendError: something is missing, or is not as it was stored.
        """
        folder = self.folder / name
        self._check()
        check_folder(folder)
        identity = read_model(folder / IDENTITY_FILE, EngineIdentity)
        record = read_model(folder / RECORD_FILE, EngineRecord)
        if identity.folder != name:
            raise BackendError(f"{folder} holds another engine: {identity.folder}")
        if not {IDENTITY_FILE, record.engine or IDENTITY_FILE} <= set(record.files):
            raise BackendError(f"{folder / RECORD_FILE} does not name the engine's files")
        plugin = record.files.get(record.plugin) if record.plugin is not None else None
        if record.plugin is not None and (plugin is None or plugin.sha256 != identity.plugin_sha256):
            raise BackendError(f"{folder / RECORD_FILE} does not name the plug-in that the engine was built with")
        for file, entry in record.files.items():
            check_file(folder / file, entry.bytes)
        return StoredEngine(folder, identity, record)

    def find(self, identity: EngineIdentity, sha256: Callable[[Path], str] = file_sha256) -> StoredEngine | None:
        """The engine of this identity, every byte verified by ``sha256``; None if there is none, or none that is whole."""
        try:
            found = self.open(identity.folder)
            found.verify(sha256)
        except BackendError:
            return None
        return found if not found.identity.differences(identity) else None

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A private folder to build in, on the store's own file system; it is gone afterwards if `put` did not take it."""
        self.prepare()
        folder = Path(tempfile.mkdtemp(prefix=".", suffix=PARTIAL, dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, staged: Path, identity: EngineIdentity, record: EngineRecord) -> StoredEngine:
        """Make a staged folder the engine of this identity, in place of one that is there.

        Args:
            staged: from `staging`, with the engine's files in it.
            identity: the engine's.
            record: ``files`` is filled in here.
        """
        write_model(staged / IDENTITY_FILE, identity)
        files = {}
        for path in sorted(staged.iterdir()):
            path.chmod(0o600)
            files[path.name] = FileEntry(sha256=file_sha256(path), bytes=path.stat().st_size)
            flush(path)
        whole = EngineRecord.model_validate({**record.model_dump(), "files": files})
        write_model(staged / RECORD_FILE, whole)
        self.remove(identity.folder)
        target = self.folder / identity.folder
        staged.rename(target)
        flush(self.folder)
        return StoredEngine(target, identity, whole)

    def rewrite(self, engine: StoredEngine, record: EngineRecord) -> StoredEngine:
        """Replace an engine's record, atomically: a new verdict on the same files."""
        write_model(engine.folder / RECORD_FILE, record)
        return StoredEngine(engine.folder, engine.identity, record)

    def selected(self) -> Selected:
        """Which engine is in use for what; empty where nothing was built.

        Raises:
            BackendError: selected.json is not ours.
        """
        path = self.folder / SELECTED_FILE
        if not os.path.lexists(path):
            return Selected()
        self._check()
        return read_model(path, Selected)

    def select(self, selected: Selected) -> None:
        """Replace selected.json, atomically."""
        self.prepare()
        write_model(self.folder / SELECTED_FILE, selected)

    def prepare(self) -> None:
        """Make ``engines/``, for its owner alone.

        Raises:
            BackendError: it is a link, or cannot be made.
        """
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            if stat.S_ISDIR(self.folder.lstat().st_mode):
                self.folder.chmod(0o700)
        except OSError as error:
            remedy = (
                _IN_THE_WAY
                if isinstance(error, FileExistsError)
                else "build where the bundle can be written, and copy it"
            )
            raise BackendError(f"{self.folder} cannot be written: {error.strerror}", remedy) from error
        self._check()

    def sweep(self) -> None:
        """Remove what builds that were killed left behind. Only under the lock."""
        for path in self.folder.iterdir():
            if path.name.startswith(".") and path.name.endswith(PARTIAL):
                remove_tree(path)

    def _check(self) -> None:
        with helped_by(_IN_THE_WAY if os.path.lexists(self.folder) else None):
            check_folder(self.folder)

    def remove(self, name: str) -> None:
        """Remove an engine; the folder is renamed first, so that nobody finds half of it."""
        folder = self.folder / name
        if not os.path.lexists(folder):
            return
        doomed = Path(tempfile.mkdtemp(prefix=".", suffix=PARTIAL, dir=self.folder))
        folder.rename(doomed / name)
        remove_tree(doomed)
