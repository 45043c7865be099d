"""Digests of the engines in use, taken before a build asks for them: beside its imports and the bundle's own verification."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from videoscene_rt.engines.digest import file_sha256
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.store.store import EngineStore

Sha256Of = Callable[[Path], str]
"""Hex SHA-256 of a file; OSError where it cannot be read."""

_Stamp = tuple[int, int, int, int]


class DigestsAhead:
    """`file_sha256`, some of it begun already.

    What was begun is given once, and only for a file that is as it was then (device, inode, size, time of change); every other answer is
    read from the file when it is asked for.

    Args:
        pool: whose threads read.
        files: what will be asked for.
    """

    def __init__(self, pool: ThreadPoolExecutor, files: Iterator[Path]) -> None:
        self._begun: dict[Path, tuple[_Stamp, Future[str]]] = {}
        for file in files:
            try:
                stamp = _stamp(file)
            except OSError:
                continue  # whoever asks for it says what is wrong with it
            self._begun[file] = stamp, pool.submit(file_sha256, file)

    def __call__(self, file: Path) -> str:
        """Hex SHA-256 of a file.

        Raises:
            OSError: it cannot be read.
        """
        stamp, digest = self._begun.pop(file, (None, None))
        if digest is None or _stamp(file) != stamp:
            return file_sha256(file)
        return digest.result()


def files_in_use(bundle: Path, backend: str, precision: str) -> Iterator[Path]:
    """The files of the engines that are selected for a pair, as far as they can be found: no word about what is wrong."""
    store = EngineStore(bundle)
    try:
        pair = store.selected().pairs.get(f"{backend}/{precision}")
        names = () if pair is None else sorted({*pair.graphs.values()} & {*store.names()})
    except (BackendError, OSError):
        return
    for name in names:
        try:
            engine = store.open(name)
        except (BackendError, OSError):
            continue
        yield from (engine.folder / file for file in engine.record.files)


def _stamp(file: Path) -> _Stamp:
    status = file.lstat()
    return status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns
