"""What a build is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from videoscene_rt.engines.activations import Activations, Arrays
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.digest import file_sha256
from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.store.ahead import Sha256Of
from videoscene_rt.engines.store.records import Gated, LayerRecord, Route
from videoscene_rt.engines.store.selection import build_command

Outcome = Literal["built", "reused", "source", "host"]


class Recorder(Protocol):
    """Activations that are known by their digest and collected only when they are needed."""

    @property
    def digest(self) -> str:
        """Over the scenes, the seeds and the bundle; known without running anything."""

    @property
    def scenes(self) -> tuple[str, ...]:
        """Their names."""

    def __call__(self) -> Activations:
        """Run the reference; the chain's own results are those of a graph named `gates.CHAIN`."""

    def steps(self, backend: Backend) -> Iterator[tuple[str, Arrays]]:
        """Run the whole chain on a backend over the same scenes and seeds: scene → outputs of `gates.CHAIN`."""


@dataclass(frozen=True)
class BuildRequest:
    """One `vsrt build`.

    Attributes:
        bundle: verified.
        backend, precision: the pair; the precision is a ceiling.
        workspace_mib, level: for a plan's builder; None for its defaults.
        accept: take engines whose gate fails, and record that.
        gate: False stores engines without running them; they cannot be loaded until a build with the gate has passed them.
        force: build again what fits.
        threads: of ONNX Runtime on the CPU.
        jobs: how many engines are made at a time.
        lock_timeout_s: how long to wait for another build of the same bundle.
        plugin: the plug-in's library, for graphs that can use it; TensorRT in FP16 or INT8 alone.
        sha256: digests of the engines that are there; `DigestsAhead` has begun them.
    """

    bundle: Bundle
    backend: str
    precision: str
    workspace_mib: int | None = None
    level: int | None = None
    accept: bool = False
    gate: bool = True
    force: bool = False
    threads: int | None = None
    jobs: int = 1
    lock_timeout_s: float = 600.0
    plugin: Path | None = None
    sha256: Sha256Of = file_sha256


@dataclass(frozen=True)
class GraphReport:
    """What became of a graph.

    Attributes:
        precision: its own.
        outcome: "built" now, or "reused"; "source": the reference, which needs nothing; "host": the backend cannot run it.
        route: how it is run.
        seconds: of making it now.
        note: why it runs on the host, or without the plug-in that was given.
    """

    graph: str
    precision: str
    outcome: Outcome
    route: Route
    gated: Gated | None = None
    folder: str | None = None
    layers: tuple[LayerRecord, ...] = ()
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class BuildReport:
    """What became of every graph and of the whole step."""

    request: BuildRequest
    graphs: tuple[GraphReport, ...]
    chain: Gated
    scenes: tuple[str, ...]
    seconds: float

    def check(self) -> None:
        """Refuse what did not pass.

        Raises:
            BackendError: names the graph, the figure, the limit, and what to do.
        """
        parts = [
            *((f"the engine of graph {graph.graph}", graph.gated) for graph in self.graphs),
            ("the whole step", self.chain),
        ]
        for what, gated in parts:
            if gated is not None and gated.status == "refused" and gated.result is not None:
                failures = gated.result.failures()
                more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
                asked = self.request
                command = build_command(asked.bundle, asked.backend, asked.precision, asked.plugin)
                raise BackendError(
                    f"{what} is refused by its accuracy gate: {failures[0].text}{more}",
                    f"use a higher precision, or scenes like your own (--scenes), or take it all the same: {command} --accept",
                )
