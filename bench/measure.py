"""From something to run to a record of it: what every backend and baseline shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from videoscene_rt.bench.closed_loop import Loop, LoopSettings, Timer, closed_loop
from videoscene_rt.bench.inputs import Arrays, rms, specs_sha256
from videoscene_rt.bench.record import Identity, Inputs, Record, Settling, Statistics, rounded_us
from videoscene_rt.bench.surroundings import GpuFacts, gpu, gpu_state, host, versions
from videoscene_rt.engines.bundle import Bundle


@dataclass(frozen=True)
class Work:
    """Something to measure, loaded and bound.

    Attributes:
        identity: what it is.
        inputs: what it was given.
        run: starts one iteration. synchronize: waits for it.
        outputs: the outputs on the host, after at least one run.
        cuda: it runs on the GPU, whose state is recorded beside it.
        setup_s: seconds that loading and the first run took.
    """

    identity: Identity
    inputs: Inputs
    run: Callable[[], object]
    synchronize: Callable[[], object]
    outputs: Callable[[], Arrays]
    cuda: bool
    setup_s: float
    timer: Timer | None = None
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Around = Callable[[Callable[[], Loop]], Loop]


def measure(
    work: Work, settings: LoopSettings, keep_samples: bool = False, around: Around = lambda loop: loop()
) -> Record:
    """Run the closed loop and write down everything about it.

    Args:
        work: what. settings: for how long.
        keep_samples: in the record.
        around: calls the loop that it is given, and may look at something before and after it.

    Raises:
        BackendError: the work failed, or the clock jumped.
    """
    before = gpu_state() if work.cuda else None
    loop = around(lambda: closed_loop(work.run, work.synchronize, settings, work.timer))
    after = gpu_state() if work.cuda else None
    series = {"host": loop.host, "enqueue": loop.enqueue}
    if loop.device is not None:
        series["device"] = loop.device
    found = {name: rms(array) for name, array in work.outputs().items()}
    notes = list(work.notes)
    if loop.stopped_early:
        notes.append(f"stopped at its limit of {settings.limit_s} s with {loop.host.size} samples")
    if not loop.settled:
        drift = "too few samples to tell" if loop.drift is None else f"drift {loop.drift:+.1%}"
        notes.append(f"not settled: {drift}")
    notes += [f"output {name} holds values that are not finite" for name, value in found.items() if value is None]
    return Record(
        identity=work.identity,
        inputs=work.inputs,
        settings=settings,
        statistics={name: Statistics.of(samples) for name, samples in series.items()},
        settling=Settling(drift=loop.drift, settled=loop.settled),
        overhead_us=loop.overhead_us,
        setup_s=work.setup_s,
        output_rms=found,
        host=host(),
        gpu=gpu_once() if work.cuda else None,
        gpu_before=before,
        gpu_after=after,
        versions=versions(work.versions.items()),
        notes=tuple(notes),
        samples_us=rounded_us(series) if keep_samples else None,
    )


def identify(
    bundle: Bundle, graph: str, engine: str, backend: str, precision: str, mode: str, *, cuda: bool
) -> Identity:
    """The identity tuple of a measurement of a bundle's graph on this machine."""
    facts = gpu_once() if cuda else None
    device = (facts.name if facts else "unknown GPU") if cuda else (host().processor or host().architecture)
    return Identity(
        bundle_sha256=bundle.digest,
        preset=bundle.manifest.preset.name,
        graph=graph,
        engine=engine,
        backend=backend,
        precision=precision,
        mode=mode,
        device=device,
    )


def seeded(bundle: Bundle, graph: str, seed: int) -> Inputs:
    """How a record names inputs from `videoscene_rt.bench.inputs.seeded_inputs`."""
    return Inputs(specs_sha256=specs_sha256(bundle.graph(graph)), source=f"seed {seed}")


def record_name(identity: Identity) -> str:
    """A file name for a record: preset, graph, and what ran it."""
    return f"{identity.preset}.{identity.graph}.{identity.runner.replace(' ', '.')}.json"


@lru_cache(maxsize=1)
def gpu_once() -> GpuFacts | None:
    """`gpu`, asked once in a process."""
    return gpu()
