"""One pipeline, measured: closed loop, fixed rate, frames, stages, costs, start; and the machine beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from videoscene_rt import Pipeline
from videoscene_rt.bench.baselines.facts import BaselineFacts
from videoscene_rt.bench.baselines.request import BaselineRequest
from videoscene_rt.bench.baselines.turns import chosen, in_turns
from videoscene_rt.bench.beside.nvml import EnergyCounter
from videoscene_rt.bench.beside.sampler import installed
from videoscene_rt.bench.beside.watching import Watch
from videoscene_rt.bench.chain_bench import engines_digest
from videoscene_rt.bench.chain_facts import ChainFacts
from videoscene_rt.bench.chain_pipeline import Ways, facts_of, fill, once, uploaded, whole_results
from videoscene_rt.bench.chain_scene import Arrays, described, sources
from videoscene_rt.bench.chain_series import SlotTimer, growth
from videoscene_rt.bench.clocks import ClockWatch
from videoscene_rt.bench.closed_loop import Loop, Samples
from videoscene_rt.bench.measure import Work, identify, measure
from videoscene_rt.bench.record import Record, Statistics, rounded_us
from videoscene_rt.bench.roofline.measuring import roofline_facts
from videoscene_rt.bench.step.costs import costs
from videoscene_rt.bench.step.loads import at_a_rate, closed, frames_as_they_come
from videoscene_rt.bench.step.request import BenchRequest
from videoscene_rt.bench.step.stages import stage_facts
from videoscene_rt.bench.step.starts import start_facts
from videoscene_rt.engines.bundle import Bundle, OnVerified
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.gates import CHAIN
from videoscene_rt.engines.platform import KINDS
from videoscene_rt.scenes.fit import fit
from videoscene_rt.scenes.scene import Scene

Tell = Callable[[str], None]
PARTS = 10
"""How often `Tell` is called."""
_TIMELINE_REPEATS, _GROWTH_STEPS, _SETTLING, _FEW_S = 20, 256, 10, 3.0


@dataclass(frozen=True)
class Measured:
    """A record, and the pictures of the step that it is of: the results, and the two images as they were fitted."""

    record: Record
    results: Arrays
    images: Any


@dataclass
class _Found:
    """What one pipeline gives, part by part."""

    work: Record
    samples: dict[str, Samples] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def measure_step(
    request: BenchRequest, tell: Tell = lambda what: None, on_verified: OnVerified | None = None
) -> Measured:
    """Measure a bundle's step.

    Args:
        request: what, and for how long.
        tell: told what comes now, `PARTS` times.
        on_verified: see `Bundle.open`.

    Raises:
        InputError: the request, the bundle or the scene is wrong.
        BackendError: the pipeline cannot be loaded, a step failed, or the clock jumped.
    """
    request = request.checked()
    tell("verifying the bundle")
    bundle = Bundle.open(request.bundle, on_verified)
    source = sources(bundle.manifest.preset, request.scenes)[0]
    scene = source.load()
    cuda = KINDS[request.backend].device == "cuda"
    clocks = ClockWatch()
    with Watch(installed() if cuda else None, EnergyCounter() if cuda else None) as watch:
        free = _free_device_bytes() if cuda else None
        tell("loading")
        begin = time.perf_counter()
        with _load(request) as pipeline:
            load_s = time.perf_counter() - begin
            results = once(pipeline, scene)
            first_s = time.perf_counter() - begin - load_s
            left = pipeline.chain.device.free_bytes()
            work = _work(
                request,
                bundle,
                described(bundle.manifest, source, request.seed),
                pipeline,
                scene,
                cuda,
                load_s + first_s,
            )
            found = _measure(request, work, pipeline, scene, watch, tell)
            taken = None if free is None or left is None else free - left
            chain = found.facts["chain"].model_copy(update={"device_bytes": taken})
            placed = pipeline.schedule.placed
        tell("stages one by one")
        found.facts["stages"] = stage_facts(request, scene, chain, _whole(found.work))
        tell("roofline")
        found.facts["roofline"], missing = roofline_facts(
            bundle,
            placed,
            request.precision,
            chain.num_points,
            device=found.work.identity.device,
            cuda=cuda,
            threads=request.threads,
        )
        found.notes += [missing] if missing else _doubts(found)
        tell("starting anew")
        found.facts["start"] = start_facts(request, load_s, first_s)
    clocks.check()
    beside = watch.found()
    peaks = [moment.memory_mib for moment in beside.moments if moment.memory_mib is not None]
    peak = int(max(peaks) * 2**20) if peaks else None
    record = _record(found, chain).model_copy(
        update={
            "costs": found.facts["costs"].model_copy(update={"device_peak_bytes": peak}),
            "beside": beside,
            "notes": (*found.work.notes, *found.notes, *_throttling(beside.throttling)),
        }
    )
    return Measured(record, results, fit(scene, bundle.manifest.preset.height, bundle.manifest.preset.width).images)


def _load(request: BenchRequest) -> Pipeline:
    return Pipeline.load(
        request.bundle,
        request.backend,
        request.precision,
        seed=request.seed,
        threads=request.threads,
        memory=request.memory,
        encoder=request.encoder,
        decoder=request.decoder,
        streaming="stream" in request.modes,
        ladder=request.ladder,
    )


def _work(
    request: BenchRequest, bundle: Bundle, inputs: Any, pipeline: Pipeline, scene: Scene, cuda: bool, setup_s: float
) -> Work:
    """The chain alone, its inputs in place."""
    slot = pipeline.chain.slots[0]
    mode = "chain-graph" if pipeline.captured else "chain-enqueue"
    halves = (
        ("encoder", request.encoder, bundle.manifest.encoders),
        ("decoder", request.decoder, bundle.manifest.decoders),
    )
    for what, half, known in halves:
        if half not in (None, known[0]):
            mode += f" {half} {what}"
    engine = engines_digest(bundle, request.backend, request.precision)
    return Work(
        identity=identify(bundle, CHAIN, engine, request.backend, request.precision, mode, cuda=cuda),
        inputs=inputs,
        run=pipeline.chain.launch,
        synchronize=slot.done.synchronize,
        outputs=lambda: whole_results(pipeline, scene),
        cuda=cuda,
        setup_s=setup_s,
        timer=SlotTimer(pipeline.chain.device, slot.begin, slot.done) if cuda else None,
        versions=pipeline.versions,
        notes=tuple(pipeline.notes),
    )


def _measure(request: BenchRequest, work: Work, pipeline: Pipeline, scene: Scene, watch: Watch, tell: Tell) -> _Found:
    tell("closed loop")
    fill(pipeline, scene)
    steps = [0]

    def run() -> None:
        steps[0] += 1
        work.run()

    def around(loop: Callable[[], Loop]) -> Loop:
        return watch.measuring(loop, lambda: steps[0])

    found = _Found(measure(replace(work, run=run), request.settings, keep_samples=True, around=around))
    ways = Ways.of(pipeline, scene)
    if "closed" in request.modes:
        found.samples.update(closed(request, pipeline, ways))
    tell("fixed rate" if "rate" in request.modes else "no fixed rate")
    if "rate" in request.modes:
        found.facts["rate"], samples, notes = at_a_rate(request, pipeline, scene)
        found.samples.update(samples)
        found.notes += notes
    tell("frames as they come" if "stream" in request.modes else "no stream")
    if "stream" in request.modes:
        found.facts["stream"], samples = frames_as_they_come(request, pipeline, scene)
        found.samples.update(samples)
    tell("baselines" if request.baselines else "no baselines")
    found.facts["baselines"] = _baselines(request, pipeline)
    found.notes += [f"no baseline {one.name}: {one.failure}" for one in found.facts["baselines"] if one.failure]
    tell("memory and copies")
    found.facts["costs"] = costs(pipeline, ways, request.side)
    found.facts["chain"] = _chain_facts(request, pipeline, ways, found.work.statistics["host"].p50)
    return found


def _baselines(request: BenchRequest, pipeline: Pipeline) -> tuple[BaselineFacts, ...]:
    device: Literal["cuda", "cpu"] = "cuda" if pipeline.chain.device.kind == "cuda" else "cpu"
    told = [
        BaselineRequest(
            name=name, bundle=request.bundle.resolve(), scenes=tuple(path.resolve() for path in request.scenes), seed=request.seed,
            threads=request.threads, precision=request.precision, device=device, checkpoint=request.checkpoint, kernels=request.kernels,
        )
        for name in chosen(request.baselines, request.backend)
    ]  # fmt: skip
    return tuple(in_turns(one, request.baseline_python, pipeline.chain.run) for one in told)


def _chain_facts(request: BenchRequest, pipeline: Pipeline, ways: Ways, step_ms: float) -> ChainFacts:
    few = max(1, min(request.settings.iterations, int(_FEW_S * 1e3 / max(step_ms, 1e-3))))
    repeats, many = min(_TIMELINE_REPEATS, few), min(_GROWTH_STEPS, few)
    return facts_of(pipeline, ways.scene, repeats).model_copy(
        update={
            "uploaded_bytes": uploaded(pipeline, ways) if pipeline.chain.device.kind == "cuda" else {},
            "growth": growth(lambda: pipeline.step(ways.scene), pipeline.chain.device, many, min(_SETTLING, many)),
        }
    )


def _whole(record: Record) -> float:
    """Milliseconds of the whole step: on the device's clock where there is one."""
    return record.statistics["device" if "device" in record.statistics else "host"].p50


def _record(found: _Found, chain: ChainFacts) -> Record:
    statistics = {
        **found.work.statistics,
        **{name: Statistics.of(values) for name, values in found.samples.items() if values.size},
    }
    tails = {name: one.p99 / one.p50 for name, one in statistics.items() if one.p99 is not None and one.p50}
    samples = {name: values for name, values in found.samples.items() if values.size}
    return found.work.model_copy(
        update={
            **found.facts,
            "statistics": statistics,
            "samples_us": {**(found.work.samples_us or {}), **rounded_us(samples)},
            "chain": chain.model_copy(update={"p99_over_p50": tails}),
        }
    )


def _doubts(found: _Found) -> list[str]:
    spans = found.facts["stages"].uncaptured
    words = found.facts["roofline"].doubts({span.stage: span.end_ms - span.start_ms for span in spans})
    return [words] if words else []


def _throttling(found: dict[str, float]) -> list[str]:
    return [f"throttled: {reason} in {share:.0%} of the samples" for reason, share in found.items()]


def _free_device_bytes() -> int | None:
    """Free memory of the GPU once this process has a context on it."""
    with suppress(BackendError):
        from videoscene_rt.engines.cuda.device import CudaDevice

        return CudaDevice().free_bytes()
    return None
