"""Fixtures that more than one room needs: small bundles, exported once for the whole run and shared by its workers."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.presets import PUBLISHED, SMALL

os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background jobs ignore Ctrl-C, and their children with them: those of the tests that press it must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """The modules are loaded, torch above all: a test's `gc.collect` would take half a second to find that they are no garbage."""
    _settle()


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Path]:
    """A bundle of the preset `SMALL`: tiny autoencoder, policy net, weights from seed 0. Read only."""
    from videoscene_rt.export.bundle_export import ExportRequest, export_bundle

    bundle = _once(tmp_path_factory, worker_id, "small.bundle", lambda out: export_bundle(ExportRequest(SMALL, out)))
    yield bundle
    assert not (bundle / "engines").exists(), "a test built engines into the bundle that all tests share"


@pytest.fixture(scope="session")
def published_bundle(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A bundle of the preset `PUBLISHED`: the published autoencoder in chunks, constant policy at t = 459. Read only."""
    from videoscene_rt.export.bundle_export import ExportRequest, export_bundle

    def make(out: Path) -> None:
        export_bundle(ExportRequest(PUBLISHED, out, constant_timestep=459))

    return _once(tmp_path_factory, worker_id, "published.bundle", make)


@pytest.fixture(scope="session")
def both_bundle(published_bundle: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A bundle of the preset `BOTH`: the published autoencoder with a tiny one beside it, encoders and decoders of both. Read only."""
    from tests.support.both import export_both

    return _once(tmp_path_factory, worker_id, "both.bundle", lambda out: export_both(published_bundle, out))


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A bundle of the preset `tiny`, weights from seed 0. Exporting it takes half a minute. Read only."""
    from videoscene_rt.export.bundle_export import ExportRequest, export_bundle
    from videoscene_rt.export.presets import load_preset

    return _once(
        tmp_path_factory, worker_id, "tiny.bundle", lambda out: export_bundle(ExportRequest(load_preset("tiny"), out))
    )


def _once(factory: pytest.TempPathFactory, worker_id: str, name: str, make: Callable[[Path], object]) -> Path:
    base = factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    out = shared / name
    with FileLock(shared / f"{name}.lock"):
        if not out.exists():
            make(out)
            _settle()
    return out


def _settle() -> None:
    """What lives now stays to the end, and Python's collector does not look through it again."""
    gc.collect()
    gc.freeze()
