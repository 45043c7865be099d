"""A CPU backend behind which every call of every graph is noted: its inputs before, its outputs after."""

from __future__ import annotations

from dataclasses import dataclass

from videoscene_rt.engines.activations import Arrays
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import Backend, Context, Engine, TensorView
from videoscene_rt.engines.memory import Memory
from videoscene_rt.engines.specs import Signature


@dataclass(frozen=True)
class Call:
    """One call of a graph, in arrays of its own."""

    graph: str
    inputs: Arrays
    outputs: Arrays


class ObservedBackend:
    """`Backend` that passes everything on and keeps a `Call` of every enqueue until it is taken.

    Args:
        backend: its device is "cpu".
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._engines: dict[str, Engine] = {}
        self._calls: list[Call] = []
        self.name = backend.name
        self.device = backend.device
        self.versions = backend.versions
        self.runs_on = backend.runs_on

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> Memory:
        """See `Backend.allocate`."""
        return self._backend.allocate(dtype, shape)

    def synchronize(self) -> None:
        """See `Backend.synchronize`."""
        self._backend.synchronize()

    def load(self, bundle: Bundle, graph: str) -> Engine:
        """See `Backend.load`; a graph is loaded once."""
        if graph not in self._engines:
            self._engines[graph] = self._backend.load(bundle, graph)
        return _ObservedEngine(self._engines[graph], self._calls)

    def take(self) -> list[Call]:
        """The calls since the last time."""
        calls = list(self._calls)
        self._calls.clear()
        return calls


class _ObservedEngine:
    def __init__(self, engine: Engine, calls: list[Call]) -> None:
        self._engine = engine
        self._calls = calls

    @property
    def spec(self) -> Signature:
        return self._engine.spec

    @property
    def scratch_bytes(self) -> int:
        return self._engine.scratch_bytes

    def context(self, scratch: int | None = None) -> Context:
        return _ObservedContext(self._engine.context(scratch), self._engine.spec, self._calls)


class _ObservedContext:
    def __init__(self, context: Context, spec: Signature, calls: list[Call]) -> None:
        self._context = context
        self._spec = spec
        self._calls = calls
        self._views: dict[str, TensorView] = {}

    def bind(self, name: str, view: TensorView) -> None:
        self._context.bind(name, view)
        self._views[name] = view

    def enqueue(self, stream: int | None = None) -> None:
        # A host view's owner is the NumPy array itself.
        inputs = {tensor.name: self._views[tensor.name].owner.copy() for tensor in self._spec.inputs}
        self._context.enqueue(stream)
        outputs = {tensor.name: self._views[tensor.name].owner.copy() for tensor in self._spec.outputs}
        self._calls.append(Call(self._spec.name, inputs, outputs))
