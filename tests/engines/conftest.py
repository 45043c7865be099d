"""Engines built once for the whole run and shared by its workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filelock import FileLock


@pytest.fixture(scope="session")
def built_once(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The small bundle with engines in fp16 and int8. Read only."""
    from tests.support.built import build, recording

    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    out = shared / "built.bundle"
    with FileLock(shared / "built.bundle.lock"):
        if not out.exists():
            making = shared / "making.bundle"
            shutil.rmtree(making, ignore_errors=True)
            shutil.copytree(small_bundle, making)
            recorder = recording(making)
            for precision in ("fp16", "int8"):
                build(making, precision, recorder).check()
            making.rename(out)
    return out


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    """The same, to damage."""
    return Path(shutil.copytree(built_once, tmp_path / "mine.bundle"))
