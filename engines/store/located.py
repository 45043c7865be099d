"""What runs a graph, found: its file, verified when it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.plugin import Plugin
from videoscene_rt.engines.store.records import Route
from videoscene_rt.engines.store.stored_engine import StoredEngine

REFERENCE = ("onnxruntime", "fp32")
"""The pair that needs no engines: ONNX Runtime's CPU provider runs the bundle's FP32 graphs, and is what others are gated against."""


@dataclass(frozen=True)
class Located:
    """What runs a graph.

    Attributes:
        route: see `Route`.
        path: the file. An engine's is verified by `read`, or by `verified` where its path is opened instead.
        engine: as it is stored; None for the reference.
        command: makes the engine again, where it is damaged or the backend refuses it.
    """

    route: Route
    path: Path
    engine: StoredEngine | None = None
    command: str | None = None

    @classmethod
    def stored(cls, bundle: Bundle, engine: StoredEngine, command: str | None = None) -> Located:
        """A stored engine; its file, or the bundle's graph that it runs."""
        own = engine.record.engine is not None
        path = engine.path if own else bundle.graph_path(engine.identity.graph)
        return cls(engine.record.route, path, engine, command)

    @property
    def plugin(self) -> Plugin | None:
        """The plug-in's library to load before the engine, not verified yet; None where none is used."""
        return None if self.engine is None else self.engine.plugin

    def verified(self) -> Path:
        """The path, after an engine's files were compared with their digests; the bundle's were when it was opened.

        Raises:
            BackendError: a file is not what was stored.
        """
        if self.engine is not None:
            with helped_by(self.command):
                self.engine.verify()
        return self.path

    def read(self) -> bytes:
        """The file's bytes; an engine's are verified.

        Raises:
            BackendError: they are not what was stored.
        """
        if self.engine is None or self.engine.record.engine is None:
            return self.path.read_bytes()
        with helped_by(self.command):
            return self.engine.read()

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Around loading: a backend that refuses an engine, though it is what was stored, is answered with a forced build."""
        try:
            yield
        except BackendError as error:
            if self.command is None:
                raise
            raise BackendError(error.problem, f"{self.command} --force") from error


Locator = Callable[[Bundle, str], Located]
"""Bundle, graph → what runs it; raises BackendError where nothing may."""


def reference(bundle: Bundle, graph: str) -> Located:
    """The bundle's own FP32 graph: the locator of the reference."""
    return Located("source", bundle.graph_path(graph))


@contextmanager
def helped_by(command: str | None) -> Iterator[None]:
    """A refusal that names no help gets this one."""
    try:
        yield
    except BackendError as error:
        if command is None or error.remedy is not None:
            raise
        raise BackendError(error.problem, command) from error
