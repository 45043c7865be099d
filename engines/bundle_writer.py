"""Writing a bundle: everything into a temporary folder beside the target, then one rename. A crash leaves no half bundle."""

from __future__ import annotations

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
        _check_target(self._target, force)
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            temporary = tempfile.mkdtemp(prefix=f".{self._target.name}.", suffix=".partial", dir=self._target.parent)
        except OSError as error:
            raise InputError(f"{self._target.parent} cannot be written: {error.strerror}") from error
        self.folder = Path(temporary)

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self, make_manifest: Callable[[dict[str, FileEntry]], Manifest]) -> Manifest:
        """Digest what was written, write the manifest, and rename the folder to the target.

        Args:
            make_manifest: gives the manifest for these files.

        Raises:
            InputError: the manifest could not be read back; nothing appears under the target's name.
        """
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        files = {
            path.relative_to(self.folder).as_posix(): FileEntry(sha256=file_sha256(path), bytes=path.stat().st_size)
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
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
    target.rename(old / "bundle")
    folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
