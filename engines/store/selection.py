"""Which file runs a graph: the bundle's own, or the engine that was built, verified, gated and selected for it.

Loading never builds and never substitutes: what does not fit is refused with the command that mends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.platform import Platform, platform
from videoscene_rt.engines.store.identity import EngineIdentity, graph_sha256, specs_sha256
from videoscene_rt.engines.store.records import Gated
from videoscene_rt.engines.store.store import EngineStore, StoredEngine

REFERENCE = ("onnxruntime", "fp32")
"""The pair that needs no engines: ONNX Runtime's CPU provider runs the bundle's FP32 graphs, and is what others are gated against."""

Route = Literal["engine", "source", "host"]


@dataclass(frozen=True)
class Located:
    """What runs a graph.

    Attributes:
        route: "engine": a built engine on the backend; "source": the bundle's FP32 graph on the backend; "host": the bundle's FP32
            graph on ONNX Runtime's CPU provider, because the backend cannot run it.
        path: the file. An engine's is verified by `read`, or by ``engine.verify()`` where its path is opened instead.
        engine: the stored engine; None on the other routes.
        command: makes the engine again, where it is damaged or the backend refuses it.
    """

    route: Route
    path: Path
    engine: StoredEngine | None = None
    command: str | None = None

    def verified(self) -> Path:
        """The path, after an engine's files were compared with their digests.

        Raises:
            BackendError: a file is not what was stored.
        """
        if self.engine is not None:
            with _helped_by(self.command):
                self.engine.verify()
        return self.path

    def read(self) -> bytes:
        """The file's bytes; an engine's are verified.

        Raises:
            BackendError: they are not what was stored.
        """
        if self.engine is None:
            return self.path.read_bytes()
        with _helped_by(self.command):
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


def selected_for(backend: str, ceiling: str) -> Locator:
    """The locator of what `vsrt build` selected for a backend under a ceiling.

    The locator raises BackendError where nothing was built, where an engine is damaged or was built for something else (both
    sides are named), and where its gate, or the whole step's, did not pass.
    """
    if (backend, ceiling) == REFERENCE:
        return reference

    def locate(bundle: Bundle, graph: str) -> Located:
        with _helped_by(build_command(bundle, backend, ceiling)):
            return _locate(bundle, graph, backend, ceiling)

    return locate


def build_command(bundle: Bundle, backend: str, ceiling: str) -> str:
    """The command that builds what is missing."""
    return f"vsrt build {bundle.folder} --backend {backend} --precision {ceiling}"


def wanted_identity(bundle: Bundle, graph: str, ceiling: str, here: Platform) -> EngineIdentity:
    """The identity that an engine of a graph must have here; what only a build decides is left empty.

    Raises:
        BackendError: none can be built here.
    """
    from videoscene_rt.engines.precision import graph_precision, recipe_digest

    if here.built_for is None:
        raise BackendError(here.cannot_build)
    precision = graph_precision(graph, ceiling)
    return EngineIdentity(
        graph=graph,
        graph_sha256=graph_sha256(bundle, graph),
        specs_sha256=specs_sha256(bundle.graph(graph)),
        precision=precision,
        recipe_sha256=recipe_digest(graph, precision),
        calibration_sha256=None,
        backend=here.kind.name,
        backend_version=here.version,
        device=here.built_for,
        compute_capability=here.built_capability,
    )


@contextmanager
def _helped_by(command: str | None) -> Iterator[None]:
    """A refusal that names no help gets this one."""
    try:
        yield
    except BackendError as error:
        if command is None or error.remedy is not None:
            raise
        raise BackendError(error.problem, command) from error


def _locate(bundle: Bundle, graph: str, backend: str, ceiling: str) -> Located:
    source = bundle.graph_path(graph)
    store = EngineStore(bundle.folder)
    pair = store.selected().pairs.get(f"{backend}/{ceiling}")
    name = None if pair is None else pair.graphs.get(graph)
    if pair is None or name is None:
        raise BackendError(f"{bundle.folder} has no engine of graph {graph} for {backend} in {ceiling}")
    if name in ("source", "host"):
        return Located("source" if name == "source" else "host", source)
    here = platform(backend)
    if here.cannot_run:
        raise BackendError(here.cannot_run, "run on a machine that has one, or use --backend onnxruntime")
    engine = store.open(name)
    _check_identity(engine, wanted_identity(bundle, graph, ceiling, here))
    again = build_command(bundle, backend, ceiling)
    check_gate(f"the engine of graph {graph}", engine.record.gate, here, again)
    check_gate("the whole step", pair.chain, here, again)
    return Located("engine", engine.path, engine, again)


def _check_identity(engine: StoredEngine, wanted: EngineIdentity) -> None:
    found = engine.identity
    # What a build decides is the engine's to say; everything else is compared.
    same = wanted.model_copy(
        update={field: getattr(found, field) for field in ("calibration_sha256", "workspace_mib", "level")}
    )
    differences = found.differences(same)
    if differences:
        raise BackendError(
            f"{engine.folder} is not the engine that graph {wanted.graph} needs here: {'; '.join(map(str, differences))}"
        )


def check_gate(what: str, gated: Gated, here: Platform, command: str) -> None:
    """Refuse what was not gated here, or did not pass.

    Raises:
        BackendError: says which, and what to do.
    """
    if gated.status == "not run":
        raise BackendError(f"{what} was stored without its accuracy gate")
    if gated.status == "refused":
        failures = gated.result.failures() if gated.result is not None else ()
        detail = f": {failures[0].text}" if failures else ""
        raise BackendError(
            f"{what} did not pass its accuracy gate{detail}",
            f"use a higher precision, or take it all the same: {command} --accept",
        )
    place, wanted = (gated.device, gated.compute_capability), (here.device, here.compute_capability)
    if place != wanted:
        raise BackendError(f"{what} was gated on {_place(*place)}, here is {_place(*wanted)}")


def _place(device: str | None, capability: str | None) -> str:
    return f"{device} ({capability})" if capability else str(device)
