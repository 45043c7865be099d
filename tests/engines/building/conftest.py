"""A machine that is not this one, and a bundle without engines."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.building.played import VERSIONS, Maker, open_played
from videoscene_rt.engines import platform
from videoscene_rt.engines.building import gating, making, onnx_files
from videoscene_rt.engines.machine import Gpu
from videoscene_rt.engines.onnxruntime_cuda_session import HOST


@pytest.fixture
def plain(small_bundle: Path, tmp_path: Path) -> Path:
    """The small bundle, to build in."""
    return Path(shutil.copytree(small_bundle, tmp_path / "plain.bundle"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Gpu | None], list[str]]:
    """Every backend installed, and the GPU that it is called with; it gives the list of graphs whose engines are made from then on."""
    real, maker = platform.metadata.version, Maker()
    monkeypatch.setattr(platform.metadata, "version", lambda name: VERSIONS.get(name) or real(name))
    monkeypatch.setattr(making, "produce", maker)
    monkeypatch.setattr(gating, "open_backend", open_played)
    monkeypatch.setattr(onnx_files, "CUDA", HOST)

    def use(gpu: Gpu | None) -> list[str]:
        monkeypatch.setattr(platform.machine, "gpu", lambda: gpu)
        maker.made.clear()
        return maker.made

    return use
