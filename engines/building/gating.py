"""The accuracy gate as a build runs it: on what has no verdict that still holds, and on the whole step."""

from __future__ import annotations

from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.building.progress import BuildProgress
from videoscene_rt.engines.building.request import BuildRequest, Recorder
from videoscene_rt.engines.building.trial import caller
from videoscene_rt.engines.building.verdict import NOT_RUN, holds, judge, judge_again
from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.gates import CHAIN, limits
from videoscene_rt.engines.gates.gate import Comparison, compare, gate
from videoscene_rt.engines.platform import Platform
from videoscene_rt.engines.store.located import Located, Locator
from videoscene_rt.engines.store.records import Gated
from videoscene_rt.engines.store.store import EngineStore
from videoscene_rt.engines.store.stored_engine import StoredEngine

MADE = 0.8
"""How much of the work on a graph is done when its engine is made; the rest is the gate."""


class Gating:
    """One build's gates, one after the other: figures are taken, and later times, on an otherwise idle device.

    Args:
        request, recorder, here, store: the build's.
        progress: told what runs.

    Attributes:
        located: graph → what runs it; filled by the build before the graph's gate, and whole before the step's.
    """

    def __init__(
        self, request: BuildRequest, recorder: Recorder, here: Platform, store: EngineStore, progress: BuildProgress
    ) -> None:
        self.located: dict[str, Located] = {}
        self._request = request
        self._recorder = recorder
        self._here = here
        self._store = store
        self._progress = progress
        self._backend: Backend | None = None

    def of_engine(self, graph: str, engine: StoredEngine) -> Gated:
        """Today's verdict on an engine, which is stored: on the figures it has, or on new ones.

        Raises:
            BackendError: the engine cannot be loaded or run.
        """
        gated, scratch = engine.record.gate, engine.record.scratch_bytes
        if self._holds(gated):
            gated = judge_again(gated, self._request.accept)
        elif self._request.gate:
            self._progress.at(graph, "running the gate", MADE)
            backend = self._open()
            loaded = backend.load(self._request.bundle, graph)
            run = caller(backend, loaded, self._request.bundle.graph(graph))
            scratch = loaded.scratch_bytes
            precision = engine.identity.precision
            result = gate(
                run, self._recorder().graph(graph), precision, limits(graph, precision), self._recorder.digest
            )
            gated = judge(result, self._here, self._request.accept)
        record = engine.record.model_copy(update={"gate": gated, "scratch_bytes": scratch})
        if record != engine.record:
            self._store.rewrite(engine, record)
        return gated

    def of_step(self, before: Gated | None) -> Gated:
        """Today's verdict on the whole step.

        Args:
            before: the one that it had with the same engines; None if they are others.

        Raises:
            BackendError: a graph cannot be loaded or run.
        """
        if before is not None and self._holds(before):
            return judge_again(before, self._request.accept)
        if not self._request.gate:
            return NOT_RUN
        self._progress.say("the whole step: running the reference")
        recorded = self._recorder().graph(CHAIN)
        self._progress.say("the whole step: running the engines")
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
            locate: Locator = lambda bundle, graph: self.located[graph]  # noqa: E731
            self._backend = open_backend(self._request.backend, self._request.precision, self._request.threads, locate)
        return self._backend
