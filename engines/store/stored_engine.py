"""One engine in the store: who it is, its record, and its files, verified when they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.engines.digest import file_sha256, text_sha256
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.plugin import Plugin
from videoscene_rt.engines.store.identity import EngineIdentity
from videoscene_rt.engines.store.private_files import read_private
from videoscene_rt.engines.store.records import EngineRecord


@dataclass(frozen=True)
class StoredEngine:
    """An engine in the store, its folder looked over; the contents of its files are verified when they are read."""

    folder: Path
    identity: EngineIdentity
    record: EngineRecord

    @property
    def path(self) -> Path:
        """The file that is loaded.

        Raises:
            BackendError: it has none of its own: the bundle's graph is.
        """
        if self.record.engine is None:
            raise BackendError(f"{self.folder} has no engine: {self.identity.graph} runs as it was exported")
        return self.folder / self.record.engine

    @property
    def digest(self) -> str:
        """Hex SHA-256 over its files, as the record says them: these bytes, and not only this identity."""
        return text_sha256(f"{entry.sha256} {name}" for name, entry in sorted(self.record.files.items()))

    @property
    def plugin(self) -> Plugin | None:
        """The plug-in's library that has to be loaded before the engine; None for an engine that uses none."""
        if self.record.plugin is None:
            return None
        return Plugin(self.folder / self.record.plugin, self.record.files[self.record.plugin].sha256)

    def verify(self, sha256: Callable[[Path], str] = file_sha256) -> None:
        """Compare every file with its digest, which ``sha256`` takes.

        Raises:
            BackendError: one is not what was stored.
        """
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: self._verify_file(name, sha256), self.record.files))

    def read(self) -> bytes:
        """The bytes of the engine, and these very bytes verified.

        Raises:
            BackendError: they are not what was stored.
        """
        name = self.path.name
        data = read_private(self.folder / name, self.record.files[name].bytes)
        self._compare(name, hashlib.sha256(data).hexdigest())
        return data

    def _verify_file(self, name: str, sha256: Callable[[Path], str]) -> None:
        try:
            self._compare(name, sha256(self.folder / name))
        except OSError as error:
            raise BackendError(f"{self.folder / name} cannot be read: {error.strerror}") from error

    def _compare(self, name: str, found: str) -> None:
        promised = self.record.files[name].sha256
        if found != promised:
            raise BackendError(
                f"{self.folder / name} was altered: its SHA-256 is {found[:12]}…, the record says {promised[:12]}…"
            )
