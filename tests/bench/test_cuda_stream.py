"""A captured graph on a played stream: launched where it was captured, and what it works in lives as long as it does."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from videoscene_rt.bench.cuda_stream import capture
from videoscene_rt.engines.errors import BackendError


class PlayedStream:
    """As much of cuda.core's stream, builder and graph as capturing takes; ``log`` says what came."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def sync(self) -> None:
        self.log.append("sync")

    def create_graph_builder(self) -> PlayedStream:
        return self

    def begin_building(self, mode: str) -> None:
        self.log.append(f"begin {mode}")

    def end_building(self) -> PlayedStream:
        self.log.append("end")
        return self

    def complete(self) -> PlayedStream:
        return self

    def upload(self, stream: Any) -> None:
        self.log.append("upload")

    def launch(self, stream: Any) -> None:
        assert stream is self
        self.log.append("launch")


class Context:
    """Stands for an engine's context, which holds its scratch memory and what is bound."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def enqueue(self) -> None:
        self.log.append("enqueue")


def test_the_work_runs_once_before_it_is_captured_and_a_launch_runs_no_python_of_it() -> None:
    log: list[str] = []
    launch = capture(PlayedStream(log), Context(log).enqueue)
    assert log == ["enqueue", "sync", "begin thread_local", "enqueue", "end", "upload", "sync"]
    log.clear()
    launch()
    assert log == ["launch"]


def test_what_was_captured_lives_as_long_as_its_graph() -> None:
    log: list[str] = []
    context = Context(log)
    kept = weakref.ref(context)
    launch = capture(PlayedStream(log), context.enqueue)
    del context
    gc.collect()
    assert kept() is not None, "its scratch memory would be freed under the graph"
    launch()
    del launch
    gc.collect()
    assert kept() is None


def test_what_cannot_be_captured_is_said() -> None:
    class Refusing(PlayedStream):
        def complete(self) -> PlayedStream:
            raise RuntimeError("operation not permitted when stream is capturing")

    log: list[str] = []
    with pytest.raises(BackendError, match="cannot be captured into a CUDA graph: operation not permitted"):
        capture(Refusing(log), Context(log).enqueue)
