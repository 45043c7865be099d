"""A capture with a played stream: what is asked of cuda-core for each form of graph. Real ones: `tests/gpu/test_pipeline.py`."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from videoscene_rt.engines.cuda.capture import capture
from videoscene_rt.engines.errors import BackendError


class Played:
    """A stream and the builder of its graph; ``asked`` are the arguments of `complete`."""

    def __init__(self) -> None:
        self.raw = self
        self.asked: list[tuple[Any, ...]] = []
        self.launched = 0

    def create_graph_builder(self) -> Played:
        return self

    def begin_building(self, mode: str) -> None:
        assert mode == "thread_local"

    def end_building(self) -> Played:
        return self

    def complete(self, *options: Any) -> Played:
        self.asked.append(options)
        return self

    def upload(self, stream: Any) -> None:
        """Nothing to do."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def launch(self, stream: Any) -> None:
        self.launched += 1


def graphs_module(monkeypatch: pytest.MonkeyPatch, **names: Any) -> None:
    module = ModuleType("cuda.core.graph")
    vars(module).update(names)
    for name in ("cuda", "cuda.core"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "cuda.core.graph", module)


def test_a_plain_graph_asks_for_no_options_and_takes_any_cuda_core(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs_module(monkeypatch)
    stream = Played()
    launch = capture(stream, lambda: None)  # type: ignore[arg-type]
    launch(stream)  # type: ignore[arg-type]
    assert (stream.asked, stream.launched) == ([()], 1)


def test_one_for_device_launches_asks_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs_module(monkeypatch, GraphCompleteOptions=lambda **options: SimpleNamespace(**options))
    stream = Played()
    capture(stream, lambda: None, "device-launch")  # type: ignore[arg-type]
    assert stream.asked == [(SimpleNamespace(device_launch=True),)]


def test_a_cuda_core_that_knows_none_is_an_error_that_a_plain_graph_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs_module(monkeypatch)
    with pytest.raises(BackendError, match="cannot be captured"):
        capture(Played(), lambda: None, "device-launch")  # type: ignore[arg-type]
