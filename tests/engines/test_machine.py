"""The first GPU is asked for once, in the background where the caller wants that, and CUDA is told to load kernels when they run."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from videoscene_rt.engines import machine
from videoscene_rt.engines.machine import Gpu
from videoscene_rt.engines.tensorrt import capabilities


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    machine._gpu.cache_clear()
    yield
    machine._gpu.cache_clear()


def test_who_asks_waits_for_who_asked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_answer, asked = threading.Event(), threading.Event(), []

    def ask(cuda: object) -> Gpu:
        asked.append(cuda)
        begun.set()
        may_answer.wait(20)
        return Gpu("NVIDIA RTX 4000 Ada", "8.9")

    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: SimpleNamespace(name=name))
    monkeypatch.setattr(machine, "_ask", ask)
    machine.look_for_gpu()
    assert begun.wait(20)
    threading.Timer(0.1, may_answer.set).start()
    assert machine.gpu() == machine.gpu() == Gpu("NVIDIA RTX 4000 Ada", "8.9")
    assert len(asked) == 1


def test_no_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(machine.ctypes, "CDLL", missing)
    assert machine.gpu() is None


@pytest.mark.parametrize(("before", "after"), [(None, "LAZY"), ("EAGER", "EAGER")])
def test_kernels_are_loaded_lazily_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    """Set before TensorRT is imported, in the builder's process as in the one that runs."""
    monkeypatch.delenv("CUDA_MODULE_LOADING", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_MODULE_LOADING", before)
    seen: list[str | None] = []

    def imported(name: str) -> SimpleNamespace:
        seen.append(os.environ.get("CUDA_MODULE_LOADING"))
        return SimpleNamespace(__version__="8.6.1")

    monkeypatch.setattr(capabilities.importlib, "import_module", imported)
    capabilities.open_package("tensorrt")
    assert seen == [after]
