"""One build of a bundle's engines under the lock: look for each, make what is missing, gate, select."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.building.gating import MADE, Gating
from videoscene_rt.engines.building.making import make_engine
from videoscene_rt.engines.building.progress import BuildProgress, OnProgress
from videoscene_rt.engines.building.request import BuildRequest, GraphReport, Outcome, Recorder
from videoscene_rt.engines.building.side_by_side import Wanted, side_by_side
from videoscene_rt.engines.building.verdict import NOT_RUN
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.platform import Platform
from videoscene_rt.engines.plugin import GivenPlugin
from videoscene_rt.engines.store.identity import EngineIdentity
from videoscene_rt.engines.store.kernel import kernel_for
from videoscene_rt.engines.store.located import REFERENCE, Located, reference
from videoscene_rt.engines.store.records import Gated, Pair, Selected
from videoscene_rt.engines.store.selection import build_command, wanted_identity
from videoscene_rt.engines.store.store import EngineStore
from videoscene_rt.engines.store.stored_engine import StoredEngine


@dataclass(frozen=True)
class _Work:
    """A graph, who its engine is to be (None: the reference, which needs none), and the one that is there already."""

    graph: str
    identity: EngineIdentity | None
    found: StoredEngine | None = None


@dataclass(frozen=True)
class _Made:
    engine: StoredEngine
    seconds: float = 0.0


class BuildRun:
    """One build under the lock.

    Args:
        request, recorder: see `build_bundle`.
        here: the backend on this machine.
        store: the bundle's, prepared and locked.
        tell: see `OnProgress`.
        plugin: the one that was given.
    """

    def __init__(
        self,
        request: BuildRequest,
        recorder: Recorder,
        here: Platform,
        store: EngineStore,
        tell: OnProgress,
        plugin: GivenPlugin | None = None,
    ) -> None:
        self._plugin = plugin
        self._request = request
        self._bundle = request.bundle
        self._recorder = recorder
        self._here = here
        self._store = store
        self._progress = BuildProgress(request.bundle.manifest.graphs, tell)
        self._gates = Gating(request, recorder, here, store, self._progress)

    def run(self) -> tuple[tuple[GraphReport, ...], Gated]:
        """Every graph's report, and the verdict on the whole step."""
        self._progress.say("looking for engines")
        with ThreadPoolExecutor() as pool:  # what is there is verified: digests of large files, side by side
            work = list(pool.map(self._look, self._bundle.manifest.graphs))
        made = self._make(work)
        reports = [self._report(item, made.get(item.graph)) for item in work]
        graphs = {report.graph: report.folder or report.outcome for report in reports}
        found = {graph: located.engine for graph, located in self._gates.located.items()}
        engines = {graph: engine.digest for graph, engine in found.items() if engine is not None}
        selected = self._selected()
        key = f"{self._request.backend}/{self._request.precision}"
        before = selected.pairs.get(key)
        same = before is not None and (before.graphs, before.engines) == (graphs, engines)
        passed = all(report.gated is None or report.gated.status in ("passed", "accepted") for report in reports)
        chain = self._gates.of_step(before.chain if before is not None and same else None) if passed else NOT_RUN
        pair = Pair.model_validate({"graphs": graphs, "chain": chain, "engines": engines})
        if before != pair:
            selected = Selected(pairs={**selected.pairs, key: pair})
            self._store.select(selected)
        self._prune(selected)
        return tuple(reports), chain

    def _selected(self) -> Selected:
        try:
            return self._store.selected()
        except BackendError:
            return Selected()  # damaged: this build begins a new one, and the other pairs ask for theirs

    def _look(self, graph: str) -> _Work:
        plugin = None if self._plugin is None else self._plugin.sha256
        wanted = wanted_identity(self._bundle, graph, self._request.precision, self._here, plugin)
        if (self._request.backend, wanted.precision) == REFERENCE:
            return _Work(graph, None)
        identity = self._with_choices(wanted)
        return _Work(graph, identity, None if self._request.force else self._store.find(identity, self._request.sha256))

    def _make(self, work: Sequence[_Work]) -> dict[str, _Made]:
        """The engines that are missing, several at a time."""
        missing = [item.identity for item in work if item.identity is not None and item.found is None]
        activations = None
        if any(identity.precision != "fp32" for identity in missing):
            self._progress.say("running the FP32 reference")
            activations = self._recorder()

        def one(identity: EngineIdentity, wanted: Wanted) -> _Made:
            return self._made(identity, activations if identity.precision != "fp32" else None, wanted)

        pieces = [lambda wanted, identity=identity: one(identity, wanted) for identity in missing]
        made = side_by_side(pieces, self._request.jobs)
        return {identity.graph: engine for identity, engine in zip(missing, made, strict=True)}

    def _made(self, identity: EngineIdentity, activations: Activations | None, wanted: Wanted) -> _Made:
        graph = identity.graph

        def tell(words: str, part: float) -> None:
            wanted()
            self._progress.at(graph, words, part * MADE)

        start = time.perf_counter()
        tell("beginning", 0.0)
        plugin = None if identity.plugin_sha256 is None else self._plugin
        engine = make_engine(self._bundle, identity, self._here, self._store, activations, tell, plugin)
        self._progress.leave(graph, MADE)
        return _Made(engine, time.perf_counter() - start)

    def _report(self, work: _Work, made: _Made | None) -> GraphReport:
        graph, identity = work.graph, work.identity
        engine = work.found if made is None else made.engine
        if identity is None or engine is None:
            self._gates.located[graph] = reference(self._bundle, graph)
            self._progress.leave(graph, 1.0)
            return GraphReport(graph, "fp32", "source", "source")
        asked = self._request
        again = build_command(self._bundle, asked.backend, asked.precision, asked.plugin) if made is None else None
        self._gates.located[graph] = Located.stored(self._bundle, engine, again)
        seconds = 0.0 if made is None else made.seconds
        name, record = engine.folder.name, engine.record
        if record.route == "host":
            self._progress.leave(graph, 1.0)
            why = next(iter(record.messages), "")
            return GraphReport(graph, "fp32", "host", "host", folder=name, seconds=seconds, note=why)
        gated = self._gates.of_engine(graph, engine)
        self._progress.leave(graph, 1.0)
        outcome: Outcome = "reused" if made is None else "built"
        note = without_plugin(engine)
        return GraphReport(graph, identity.precision, outcome, record.route, gated, name, record.layers, seconds, note)

    def _with_choices(self, wanted: EngineIdentity) -> EngineIdentity:
        """The identity with what this request decides."""
        builder = self._here.can is not None and kernel_for(wanted.graph, self._here.kind) is None
        return wanted.model_copy(
            update={
                "calibration_sha256": None if wanted.precision == "fp32" else self._recorder.digest,
                "workspace_mib": self._request.workspace_mib if builder else None,
                "level": self._request.level if builder else None,
            }
        )

    def _prune(self, selected: Selected) -> None:
        """Remove engines that this build replaced: of the same graph, backend, precision and device, and in use nowhere."""
        used = {name for pair in selected.pairs.values() for name in pair.graphs.values()}
        now = {
            _place(located.engine.identity) for located in self._gates.located.values() if located.engine is not None
        }
        for name in self._store.names():
            if name in used:
                continue
            try:
                identity = self._store.open(name).identity
            except BackendError:
                continue
            if _place(identity) in now:
                self._store.remove(name)


def without_plugin(engine: StoredEngine) -> str:
    """Why an engine that was built with a plug-in at hand does not use it; "" for every other engine."""
    if engine.identity.plugin_sha256 is None or engine.record.plugin is not None:
        return ""
    why = (text for text in engine.record.messages if text.startswith("not rewritten (attention_as_plugin)"))
    return next(why, "not rewritten")


def _place(identity: EngineIdentity) -> tuple[str | None, ...]:
    return (identity.graph, identity.backend, identity.precision, identity.device, identity.compute_capability)
