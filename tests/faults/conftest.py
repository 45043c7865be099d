"""What the tests of faults share: processes of their own that begin at once, bundles to damage, a scene."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.nursery import Nursery
from tests.support.scenes import scene
from videoscene_rt.scenes.scene_folder import save_scene


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Runs commands under limits."""
    with Nursery() as child:
        yield child


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene that fits the small bundle. Read only."""
    return save_scene(scene(), tmp_path_factory.mktemp("scenes") / "scene")


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    """The small bundle, to damage."""
    return Path(shutil.copytree(small_bundle, tmp_path / "b.bundle"))


@pytest.fixture(scope="session")
def built_once(nursery: Nursery, small_bundle: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The small bundle with engines of ONNX Runtime in fp16. Read only."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    out = shared / "fp16.bundle"
    with FileLock(shared / "fp16.bundle.lock"):
        if not out.exists():
            making = shared / "making-fp16.bundle"
            shutil.copytree(small_bundle, making)
            ended = nursery.vsrt("build", making, "--precision", "fp16", "--threads", 1)
            assert ended.code == 0, ended.err
            making.rename(out)
    return out


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    """The same, to damage."""
    return Path(shutil.copytree(built_once, tmp_path / "b.bundle"))
