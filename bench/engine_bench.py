"""Measure the engines of a bundle, one by one: ``python -m videoscene_rt.bench.engine_bench request.json``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

from videoscene_rt.bench.cuda_stream import CudaTimer, capture
from videoscene_rt.bench.inputs import Arrays, poison, seeded_inputs
from videoscene_rt.bench.measure import Work, identify, measure, seeded
from videoscene_rt.bench.record import Identity, Inputs, Record
from videoscene_rt.bench.request import Request, main, measure_graphs
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import Engine
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.hosted import HostedEngine


class Runner(Protocol):
    """What measuring one graph takes of a backend: `videoscene_rt.engines.engine.Backend` without the chain's device."""

    @property
    def name(self) -> str:
        """See `Backend.name`."""

    @property
    def device(self) -> str:
        """See `Backend.device`."""

    @property
    def versions(self) -> dict[str, str]:
        """See `Backend.versions`."""

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> Any:
        """See `Backend.allocate`; the memory has ``view``, ``write`` and ``read``."""

    def synchronize(self) -> None:
        """See `Backend.synchronize`."""

    def load(self, bundle: Bundle, graph: str) -> Engine:
        """See `Backend.load`."""


class EngineRequest(Request):
    """Which engines: those that ``backend`` loads at ``precision``. ``mode``: each run enqueued, or captured once and replayed."""

    backend: str = "onnxruntime"
    mode: Literal["enqueue", "cuda-graph"] = "enqueue"
    threads: int | None = None


def measure_engines(request: EngineRequest) -> dict[str, Any]:
    """Measure the graphs of a request; see `measure_graphs`.

    Raises:
        InputError: the request or the bundle is wrong.
        BackendError: the backend cannot be opened.
    """
    bundle = Bundle.open(request.bundle)
    backend = open_backend(request.backend, request.precision, request.threads)

    def one(graph: str) -> Record:
        return measure_engine(bundle, graph, backend, request)

    return measure_graphs(request, bundle, one)


def measure_engine(
    bundle: Bundle,
    graph: str,
    backend: Runner,
    request: EngineRequest,
    engine_name: str | None = None,
    precision: str | None = None,
) -> Record:
    """Load one graph's engine, feed it seeded inputs and run it in a closed loop.

    Args:
        bundle: the bundle.
        graph: the graph.
        backend: what loads it.
        request: mode, seed, settings.
        engine_name: how the record names the engine; None takes the engine's identity digest.
        precision: of the engine, where it does not say so itself.

    Raises:
        BackendError: it cannot be loaded or run.
    """
    begin = time.perf_counter()
    engine = backend.load(bundle, graph)
    identity = identify(
        bundle,
        graph,
        engine_name or engine_digest(engine, bundle, graph),
        backend.name,
        precision or own_precision(engine),
        request.mode,
        cuda=backend.device == "cuda",
    )
    inputs = seeded_inputs(bundle.manifest, graph, request.seed)
    work = engine_work(engine, backend, inputs, identity, seeded(bundle, graph, request.seed), begin)
    return measure(work, request.settings, request.keep_samples)


def engine_work(
    engine: Engine, backend: Runner, inputs: Arrays, identity: Identity, source: Inputs, begin: float
) -> Work:
    """Allocate, fill, bind and run an engine once; what is left is to measure it.

    Args:
        engine: any engine of the backend.
        backend: allocates its memory.
        inputs: an array for each input.
        identity, source: for the record; ``identity.mode`` says how to launch.
        begin: `time.perf_counter` when loading began.

    Raises:
        BackendError: it cannot run, or cannot be captured.
    """
    context = engine.context()
    outputs = {}
    for spec in (*engine.spec.inputs, *engine.spec.outputs):
        memory = backend.allocate(spec.dtype, spec.shape)
        memory.write(inputs[spec.name] if spec.name in inputs else poison(spec))
        context.bind(spec.name, memory.view())
        if spec.name not in inputs:
            outputs[spec.name] = memory
    backend.synchronize()

    hosted = isinstance(engine, HostedEngine)
    # A backend with a stream of its own enqueues without waiting; the others return when they are done.
    stream = None if hosted else getattr(getattr(backend, "cuda", None), "stream", None)
    run: Callable[[], object] = context.enqueue
    if identity.mode == "cuda-graph":
        if stream is None:
            raise BackendError(
                f"graph {identity.graph} runs without a stream, and cannot be captured into a CUDA graph"
            )
        run = capture(stream, context.enqueue)
    run()
    backend.synchronize()
    return Work(
        identity=identity,
        inputs=source,
        run=run,
        synchronize=backend.synchronize,
        outputs=lambda: {name: memory.read() for name, memory in outputs.items()},
        cuda=backend.device == "cuda",
        setup_s=time.perf_counter() - begin,
        timer=None if stream is None else CudaTimer(stream),
        versions=backend.versions,
        notes=("runs on the host, between two copies",) if hosted else (),
    )


def own_precision(engine: Engine) -> str:
    """The precision of a built engine, which the recipe gave it under the ceiling; a graph that runs as it was exported is FP32."""
    return str(getattr(getattr(engine, "identity", None), "precision", "fp32"))


def engine_digest(engine: Engine, bundle: Bundle, graph: str) -> str:
    """The identity digest of a built engine; for a graph that runs as it was exported, ``graph:`` and its file's SHA-256."""
    digest = getattr(getattr(engine, "identity", None), "digest", None)
    return str(digest) if digest else f"graph:{bundle.manifest.files[bundle.graph(graph).file].sha256}"


if __name__ == "__main__":
    sys.exit(main(EngineRequest, measure_engines, sys.argv[1:]))
