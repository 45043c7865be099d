"""Writing a bundle: everything into a temporary folder beside the target, then one rename. A crash leaves no half bundle.

The temporary folder is locked while its writer lives. What a writer that was killed has left is not, and the next one removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from videoscene_rt.engines.bundle import MANIFEST_FILE
from videoscene_rt.engines.digest import file_sha256
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.manifest import FileEntry, Manifest, parse_manifest

_REPLACED = "bundle"
"""What a bundle is called in the temporary folder where it waits until the one that replaces it has its name."""


class BundleWriter:
    """``with BundleWriter(target) as writer:`` write files under ``writer.folder``, then ``writer.finish(make_manifest)``.

    Args:
        target: where the bundle shall be.
        force: replace a bundle that is there already.

    Raises:
        InputError: the target exists and is not to be, or cannot be, replaced; or its parent cannot be written.
    """

    def __init__(self, target: str | os.PathLike[str], force: bool = False) -> None:
        self._target = Path(target)
        self._force = force
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(self._target)
            _check_target(self._target, force)
            self.folder, self._lock = _locked_folder(self._target)
        except OSError as error:
            raise InputError(f"{self._target.parent} cannot be written: {error.strerror}") from error

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def finish(
        self,
        make_manifest: Callable[[dict[str, FileEntry]], Manifest],
        on_read: Callable[[int, int], None] = lambda done, total: None,
    ) -> Manifest:
        """Digest what was written, write the manifest, and rename the folder to the target.

        Args:
            make_manifest: gives the manifest for these files.
            on_read: told (bytes digested, bytes in all).

        Raises:
            InputError: the manifest could not be read back; nothing appears under the target's name.
        """
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        total, done = sum(path.stat().st_size for path in paths), 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            on_read(done, total)

        files = {
            path.relative_to(self.folder).as_posix(): FileEntry(
                sha256=file_sha256(path, tell), bytes=path.stat().st_size
            )
            for path in paths
        }
        text = make_manifest(files).model_dump_json(indent=2) + "\n"
        manifest = parse_manifest(text, str(self._target / MANIFEST_FILE))  # what no one can read is not published
        (self.folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
        for path in (*paths, self.folder / MANIFEST_FILE):
            _flush(path)
        self.folder.chmod(0o755)
        _replace(self.folder, self._target, self._force)
        return manifest


def _locked_folder(target: Path, suffix: str = ".partial") -> tuple[Path, int]:
    """A fresh temporary folder beside the target, and the descriptor whose lock says that its writer lives."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=suffix, dir=target.parent))
        lock = _lock(folder)
        # Between its making and its locking another writer may have taken it for a dead one's.
        if lock is not None and folder.exists():
            return folder, lock
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """A descriptor with an exclusive lock on a folder; None if somebody else has it, or the folder is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _sweep(target: Path) -> None:
    """Remove what writers of this target have left that were killed; a bundle that one was about to replace gets its name back."""
    for folder in target.parent.iterdir():
        if folder.name.startswith(f".{target.name}.") and folder.suffix in (".partial", ".old"):
            lock = _lock(folder)
            if lock is None:
                continue
            if (folder / _REPLACED).exists() and not target.exists():
                (folder / _REPLACED).rename(target)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _check_target(target: Path, force: bool) -> None:
    if not target.exists():
        return
    if not (target.is_dir() and ((target / MANIFEST_FILE).is_file() or not any(target.iterdir()))):
        raise InputError(f"{target} exists and is not a bundle", "name another folder with --out")
    if not force and any(target.iterdir()):
        raise InputError(f"{target} exists already", "replace it with --force, or name another folder with --out")


def _replace(folder: Path, target: Path, force: bool) -> None:
    _check_target(target, force)
    if not target.exists():
        folder.rename(target)
        return
    old, lock = _locked_folder(target, ".old")
    target.rename(old / _REPLACED)
    folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    os.close(lock)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
