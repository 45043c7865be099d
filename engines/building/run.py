"""One build of a bundle's engines, graph by graph, under the lock."""

from __future__ import annotations

import time
from collections.abc import Callable

from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.building.making import make_engine
from videoscene_rt.engines.building.produce import runs_here
from videoscene_rt.engines.building.request import BuildRequest, GraphReport, Outcome, Recorder
from videoscene_rt.engines.building.trial import caller
from videoscene_rt.engines.building.verdict import NOT_RUN, holds, judge, judge_again
from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.gates import CHAIN, limits
from videoscene_rt.engines.gates.gate import Comparison, compare, gate
from videoscene_rt.engines.platform import Platform
from videoscene_rt.engines.store.identity import EngineIdentity
from videoscene_rt.engines.store.records import Gated, Pair, Selected
from videoscene_rt.engines.store.selection import REFERENCE, Located, Locator, reference, wanted_identity
from videoscene_rt.engines.store.store import EngineStore, StoredEngine

OnProgress = Callable[[str, float], None]
"""Called with what is being done, and how many graphs are done (the whole step counts as one; parts of one are fractions)."""


class BuildRun:
    """One build under the lock.

    Args:
        request, recorder: see `build_bundle`.
        here: the backend on this machine.
        store: the bundle's, prepared and locked.
        tell: see `OnProgress`.
    """

    def __init__(
        self, request: BuildRequest, recorder: Recorder, here: Platform, store: EngineStore, tell: OnProgress
    ) -> None:
        self._request = request
        self._bundle = request.bundle
        self._recorder = recorder
        self._here = here
        self._store = store
        self._tell = tell
        self._done = 0
        self._located: dict[str, Located] = {}
        self._backend: Backend | None = None

    def run(self) -> tuple[tuple[GraphReport, ...], Gated]:
        """Every graph's report, and the verdict on the whole step."""
        reports = []
        for graph in self._bundle.manifest.graphs:
            reports.append(self._graph(graph))
            self._done = len(reports)
        graphs = {report.graph: report.folder or report.outcome for report in reports}
        selected = self._selected()
        key = f"{self._request.backend}/{self._request.precision}"
        before = selected.pairs.get(key)
        same = before is not None and before.graphs == graphs and not any(r.outcome == "built" for r in reports)
        chain = self._chain(reports, before.chain if before is not None and same else None)
        pair = Pair.model_validate({"graphs": graphs, "chain": chain})
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

    def _graph(self, graph: str) -> GraphReport:
        wanted = wanted_identity(self._bundle, graph, self._request.precision, self._here)
        self._say(f"{graph}: looking for an engine")
        if not runs_here(self._bundle, graph, self._here):
            self._located[graph] = Located("host", self._bundle.graph_path(graph))
            return GraphReport(graph, "fp32", "host")
        if (self._request.backend, wanted.precision) == REFERENCE:
            self._located[graph] = reference(self._bundle, graph)
            return GraphReport(graph, "fp32", "source")
        identity = self._with_choices(wanted)
        found = None if self._request.force else self._store.find(identity)
        start = time.perf_counter()
        engine = self._make(identity) if found is None else found
        seconds = time.perf_counter() - start if found is None else 0.0
        self._located[graph] = Located("engine", engine.path, engine)
        engine = self._gated(graph, engine)
        outcome: Outcome = "built" if found is None else "reused"
        record = engine.record
        return GraphReport(graph, identity.precision, outcome, record.gate, engine.folder.name, record.layers, seconds)

    def _make(self, identity: EngineIdentity) -> StoredEngine:
        activations = None
        if identity.precision != "fp32":
            self._say(f"{identity.graph}: running the FP32 reference")
            activations = self._recorder()
        return make_engine(
            self._bundle,
            identity,
            self._here,
            self._store,
            activations,
            lambda what, part: self._say(f"{identity.graph}: {what}", part),
        )

    def _with_choices(self, wanted: EngineIdentity) -> EngineIdentity:
        """The identity with what this request decides."""
        builder = self._here.can is not None
        return wanted.model_copy(
            update={
                "calibration_sha256": None if wanted.precision == "fp32" else self._recorder.digest,
                "workspace_mib": self._request.workspace_mib if builder else None,
                "level": self._request.level if builder else None,
            }
        )

    def _gated(self, graph: str, engine: StoredEngine) -> StoredEngine:
        """The engine with today's verdict: on the figures it has, or on new ones."""
        gated = engine.record.gate
        if self._holds(gated):
            gated = judge_again(gated, self._request.accept)
        elif self._request.gate:
            self._say(f"{graph}: running the gate")
            backend = self._open()
            run = caller(backend, backend.load(self._bundle, graph))
            precision = engine.identity.precision
            result = gate(
                run, self._recorder().graph(graph), precision, limits(graph, precision), self._recorder.digest
            )
            gated = judge(result, self._here, self._request.accept)
        if gated == engine.record.gate:
            return engine
        return self._store.rewrite(engine, engine.record.model_copy(update={"gate": gated}))

    def _chain(self, reports: list[GraphReport], before: Gated | None) -> Gated:
        if any(report.gated is not None and report.gated.status not in ("passed", "accepted") for report in reports):
            return NOT_RUN
        if before is not None and self._holds(before):
            return judge_again(before, self._request.accept)
        if not self._request.gate:
            return NOT_RUN
        self._say("the whole step: running the reference")
        recorded = self._recorder().graph(CHAIN)
        self._say("the whole step: running the engines")
        steps = self._recorder.steps(self._open())
        calls = (
            Comparison(sample.scene, sample.outputs, lambda outputs=outputs: outputs)  # type: ignore[misc]
            for sample, (_, outputs) in zip(recorded.samples, steps, strict=True)
        )
        precision = self._request.precision
        result = compare(CHAIN, precision, calls, limits(CHAIN, precision), self._recorder.digest)
        return judge(result, self._here, self._request.accept)

    def _holds(self, gated: Gated) -> bool:
        again = self._request.force and self._request.gate
        return not again and holds(gated, self._here, self._recorder.digest)

    def _open(self) -> Backend:
        if self._backend is None:
            locate: Locator = lambda bundle, graph: self._located[graph]  # noqa: E731
            self._backend = open_backend(self._request.backend, self._request.precision, self._request.threads, locate)
        return self._backend

    def _prune(self, selected: Selected) -> None:
        """Remove engines that this build replaced: of the same graph, backend, precision and device, and in use nowhere."""
        used = {name for pair in selected.pairs.values() for name in pair.graphs.values()}
        now = {_place(located.engine.identity) for located in self._located.values() if located.engine is not None}
        for name in self._store.names():
            if name in used:
                continue
            try:
                identity = self._store.open(name).identity
            except BackendError:
                continue
            if _place(identity) in now:
                self._store.remove(name)

    def _say(self, what: str, part: float = 0.0) -> None:
        self._tell(what, self._done + min(max(part, 0.0), 1.0))


def _place(identity: EngineIdentity) -> tuple[str | None, ...]:
    return (identity.graph, identity.backend, identity.precision, identity.device, identity.compute_capability)
