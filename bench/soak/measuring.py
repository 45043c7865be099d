"""One pipeline soaked: loaded, run, looked at, and its record written on the way and at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import cycle

import numpy as np

from videoscene_rt import Pipeline
from videoscene_rt.bench.beside.nvml import EnergyCounter
from videoscene_rt.bench.beside.sampler import installed
from videoscene_rt.bench.beside.watching import Watch
from videoscene_rt.bench.chain_bench import engines_digest
from videoscene_rt.bench.chain_pipeline import digests, results
from videoscene_rt.bench.chain_scene import described, sources
from videoscene_rt.bench.clocks import ClockWatch
from videoscene_rt.bench.measure import gpu_once, identify
from videoscene_rt.bench.percentiles import LEAST_SAMPLES
from videoscene_rt.bench.record import Statistics
from videoscene_rt.bench.soak.facts import Finding, SoakRecord
from videoscene_rt.bench.soak.log import Log
from videoscene_rt.bench.soak.request import SoakRequest
from videoscene_rt.bench.soak.running import Subject, look_now, run_soak
from videoscene_rt.bench.soak.scenes import at_size, by_scene
from videoscene_rt.bench.soak.verdict import findings
from videoscene_rt.bench.step_facts import RateFacts
from videoscene_rt.bench.surroundings import host, versions
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError, VsrtError
from videoscene_rt.engines.gates import CHAIN
from videoscene_rt.engines.platform import KINDS
from videoscene_rt.pictures.report import plain, write_report
from videoscene_rt.scenes.scene import Scene

Tell = Callable[[SoakRecord], object]
_WRITE_EVERY_S = 60.0
_REHEARSED_TURNS = 8


def soak(request: SoakRequest, tell: Tell = lambda record: None) -> SoakRecord:
    """Soak a bundle. The record is written at the first look, then every minute, and at the end, whatever the end is.

    Args:
        request: what, for how long, and where the record goes.
        tell: given the record each time it was written.

    Raises:
        InputError: the request, the bundle or a scene is wrong, or the record cannot be written.
        BackendError: the pipeline cannot be loaded, or a step failed; what came before that is in the record.
    """
    request = request.checked()
    bundle = Bundle.open(request.bundle)
    cuda = KINDS[request.backend].device == "cuda"
    found = sources(bundle.manifest.preset, request.scenes)
    scenes = [at_size(source.load(), bundle.manifest.preset) for source in found]
    clocks = ClockWatch()
    watch = Watch(installed() if cuda else None, EnergyCounter() if cuda else None)
    with watch:
        begin = time.perf_counter()
        with Pipeline.load(
            request.bundle, request.backend, request.precision, seed=request.seed, threads=request.threads,
            memory=request.memory, streaming=False, ladder=request.ladder,
        ) as pipeline:  # fmt: skip
            inputs = described(bundle.manifest, found[0], request.seed)
            log = Log()
            mode = "chain-graph" if pipeline.captured else "chain-enqueue"
            engine = engines_digest(bundle, request.backend, request.precision)
            empty = SoakRecord(
                state="running",
                held=None,
                findings=(),
                limits=request.limits,
                settings=request.settings,
                seconds=0.0,
                steps=0,
                identity=identify(bundle, CHAIN, engine, request.backend, request.precision, mode, cuda=cuda),
                inputs=inputs,
                scenes=tuple(source.name for source in found),
                captured=pipeline.captured,
                load_s=time.perf_counter() - begin,
                output=log.output,
                statistics={},
                rate=None,
                paused=0,
                counters={},
                minutes=(),
                looks=(),
                host=host(),
                gpu=gpu_once() if cuda else None,
                versions=versions(pipeline.versions.items()),
                notes=pipeline.notes,
            )
            record = _run(request, pipeline, scenes, log, empty, watch, tell)
    whole = (*record.findings, _clock(clocks))
    record = record.model_copy(update={"findings": whole, "held": _held(whole), "beside": watch.found()})
    return _written(request, record, tell)


def exceeded(record: SoakRecord) -> str:
    """The limits that were not kept, in one line; "" where all were."""
    return "; ".join(f"{finding.name}: {finding.said}" for finding in record.findings if finding.held is False)


def _run(
    request: SoakRequest,
    pipeline: Pipeline,
    scenes: Sequence[Scene],
    log: Log,
    empty: SoakRecord,
    watch: Watch,
    tell: Tell,
) -> SoakRecord:
    subject = _subject(pipeline, scenes, by_deadline=request.ladder is not None)
    _rehearse(empty, pipeline)
    written = [-_WRITE_EVERY_S]

    def so_far() -> SoakRecord:
        return _so_far(empty, log, pipeline)

    def on_look() -> None:
        if log.seconds - written[0] >= _WRITE_EVERY_S:
            written[0] = log.seconds
            _written(request, so_far(), tell)

    try:
        watch.measuring(lambda: run_soak(subject, empty.settings, log, on_look), lambda: max(1, log.steps))
    except VsrtError as error:
        failed = {"state": "failed", "held": False, "problem": error.problem}
        _written(request, so_far().model_copy(update=failed), tell)
        raise
    except BaseException:
        _written(request, so_far().model_copy(update={"state": "interrupted"}), tell)
        raise
    return so_far().model_copy(update={"state": "done"})


def _rehearse(empty: SoakRecord, pipeline: Pipeline) -> None:
    """Make a record of made-up figures: what Python imports and keeps for that (NumPy's median imports a module) is no growth."""
    log, after = Log(), empty.settings.warmup_s
    for turn in range(_REHEARSED_TURNS):
        log.turn(after + turn, np.ones(LEAST_SAMPLES[990]), None)
        log.look(look_now(after + turn, log.steps, pipeline.chain.device.free_bytes))
    plain(_so_far(empty, log, pipeline))


def _subject(pipeline: Pipeline, scenes: Sequence[Scene], *, by_deadline: bool) -> Subject:
    turn = cycle(scenes)

    def by(left_s: float) -> None:
        pipeline.step(next(turn), deadline=left_s)

    def outputs() -> list[dict[str, str]]:
        handles = [pipeline.submit(scenes[0]) for _ in pipeline.chain.slots]
        try:
            return [digests(results(handle.result())) for handle in handles]
        finally:
            for handle in handles:
                handle.release()

    return Subject(
        step=lambda: pipeline.step(next(turn)),
        by=by if by_deadline else None,
        outputs=outputs,
        device_free=pipeline.chain.device.free_bytes,
    )


def _so_far(empty: SoakRecord, log: Log, pipeline: Pipeline) -> SoakRecord:
    settings, counters = empty.settings, pipeline.counters
    steps = log.step_ms(settings.warmup_s)
    each = by_scene(empty.scenes, steps, log.steps - steps.size)
    series = {"step": steps, **each, "age": log.age_ms(settings.warmup_s)}
    rate = None
    if log.arrivals and settings.rate_hz is not None and settings.deadline_ms is not None:
        rate = RateFacts(
            rate_hz=settings.rate_hz,
            deadline_ms=settings.deadline_ms,
            arrivals=log.arrivals,
            done=log.steps,
            dropped=log.dropped,
            missed=log.missed,
            overhead_us=log.overhead_us,
        )
    return empty.model_copy(
        update={
            "findings": findings(log, empty.limits, settings, counters, rate),
            "seconds": round(log.seconds, 3),
            "steps": log.steps,
            "output": log.output,
            "statistics": {name: Statistics.of(values) for name, values in series.items() if values.size},
            "rate": rate,
            "paused": log.paused,
            "counters": {
                name: dict(value) if hasattr(value, "items") else value for name, value in asdict(counters).items()
            },
            "minutes": log.minutes,
            "looks": log.looks,
        }
    )


def _held(found: Sequence[Finding]) -> bool:
    return all(finding.held is not False for finding in found)


def _clock(clocks: ClockWatch) -> Finding:
    try:
        clocks.check()
    except BackendError as error:
        return Finding(name="clock", held=False, said=error.problem)
    return Finding(name="clock", held=True, said="the host's clocks have seen the same time pass")


def _written(request: SoakRequest, record: SoakRecord, tell: Tell) -> SoakRecord:
    write_report(request.out, record)
    tell(record)
    return record
