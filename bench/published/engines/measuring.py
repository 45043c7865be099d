"""One item measured with one runtime: loaded, run in a closed loop, compared with torch, and written down."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from videoscene_rt.bench.closed_loop import closed_loop
from videoscene_rt.bench.engine_bench import Runner
from videoscene_rt.bench.measure import Work, gpu_once, measure, record_name
from videoscene_rt.bench.published.engines.calls import calls_of
from videoscene_rt.bench.published.engines.handed import Handed, read_tensors
from videoscene_rt.bench.published.engines.making import Made, Way
from videoscene_rt.bench.published.engines.request import EnginesRequest
from videoscene_rt.bench.published.engines.running import (
    Bound,
    bind,
    captured,
    open_loader,
    relative_l2,
    write_block_weights,
)
from videoscene_rt.bench.published.finding import Finding
from videoscene_rt.bench.record import Identity, Inputs, Record, Statistics, rounded_us, write_record
from videoscene_rt.bench.roofline.facts import Rates, RooflineFacts
from videoscene_rt.bench.step_facts import CostFacts
from videoscene_rt.bench.surroundings import host
from videoscene_rt.engines.digest import text_sha256


def measure_item(
    folder: Path, handed: Handed, made: dict[str, Made], way: Way, request: EnginesRequest, rates: Rates, seconds: float
) -> Finding:
    """Measure an item and write its record.

    Args:
        folder, handed: the item. made: its engines by graph. way: how they were made.
        request: settings. rates: the device's, for the roofline.
        seconds: how much time there is; the loop ends in time for it, if loading leaves some.

    Raises:
        BackendError: it cannot be loaded or run.
    """
    begin = time.perf_counter()
    cuda: Any = None
    if request.device == "cuda":
        from videoscene_rt.engines.cuda.device import CudaDevice

        cuda = CudaDevice()
    free = None if cuda is None else cuda.free_bytes()
    specs = {name: one.spec for name, one in made.items()}
    weights = {name: weight for one in made.values() for name, weight in one.weights.items()}
    calls = calls_of(handed.item, handed.preset, specs, weights)
    given, wanted = read_tensors(folder)
    backend = open_loader(folder, made, way, cuda)
    cuda = getattr(backend, "cuda", None)  # whose stream the work is put on
    bound = bind(backend, handed.bundle(folder, specs), calls, given)
    write_block_weights(bound, handed, folder)
    bound.enqueue()  # what allocates late has done so before anything is captured
    backend.synchronize()
    captures = request.capture and way.package is not None  # ONNX Runtime refuses a stream that is being captured
    run, first, mode, notes = captured(bound, cuda.stream if captures and cuda is not None else None)
    run()
    backend.synchronize()
    setup_s = time.perf_counter() - begin
    relative = relative_l2(bound.outputs(), wanted)
    work = _work(handed, made, way, backend, bound, run, setup_s, mode, notes, cuda)
    left = seconds - (time.perf_counter() - begin)
    settings = request.settings
    settings = settings.model_copy(update={"limit_s": max(0.1, min(settings.limit_s or left, left / 2))})
    record = measure(work, settings, request.keep_samples)
    peak = None if cuda is None or free is None else max(0, free - cuda.free_bytes())
    if first is not None:
        loop = closed_loop(first, backend.synchronize, settings, work.timer)
        samples = loop.host if loop.device is None else loop.device
        record = _with_series(record, "first-frames", samples)
    record = record.model_copy(
        update={
            "notes": (*record.notes, *_against(relative, handed.reference)),
            "costs": CostFacts(device_peak_bytes=peak),
            "roofline": _roofline(handed, rates),
        }
    )
    path = request.out / record_name(record.identity)
    write_record(path, record)
    return _finding(handed, made, way, record, relative, rates, path)


def _work(
    handed: Handed,
    made: dict[str, Made],
    way: Way,
    backend: Runner,
    bound: Bound,
    run: Any,
    setup_s: float,
    mode: str,
    notes: tuple[str, ...],
    cuda: Any | None,
) -> Work:
    timer = None
    if cuda is not None:
        from videoscene_rt.bench.cuda_stream import CudaTimer

        timer = CudaTimer(cuda.stream)
    facts = gpu_once() if cuda is not None else None
    device = facts.name if facts else cuda.name if cuda is not None else host().processor
    buffers = (f"{name}: {dtype}{list(shape)}" for name, (dtype, shape) in bound.calls.buffers.items())
    digest = text_sha256([f"{name} {one.sha256}" for name, one in sorted(made.items())])
    return Work(
        identity=Identity(
            bundle_sha256=text_sha256([handed.preset.model_dump_json()]),
            preset=handed.preset.name,
            graph=handed.item.name,
            engine=f"baseline:engines-{way.name}:{digest}",
            backend=backend.name,
            precision="fp16",
            mode=mode,
            device=device or host().architecture,
        ),
        inputs=Inputs(specs_sha256=text_sha256(buffers), source=f"seed {handed.seed}, drawn by torch"),
        run=run,
        synchronize=backend.synchronize,
        outputs=bound.outputs,
        cuda=cuda is not None,
        setup_s=setup_s,
        timer=timer,
        versions={
            **backend.versions,
            **{one.version and "builder": one.version for one in made.values() if one.version},
        },
        notes=(
            "no bundle: random weights; bundle_sha256 is the digest of the preset",
            f"{len(bound.contexts)} calls of {', '.join(made)}",
            *(f"not captured: {why}" for why in notes),
            *(f"{name}: {note}" for name, one in made.items() for note in one.notes),
            *(note for found in getattr(backend, "notes", {}).values() for note in found),
            "device_peak_bytes is what the device had less while it ran than before anything was loaded",
        ),
    )


def _with_series(record: Record, name: str, samples: Any) -> Record:
    changes: dict[str, Any] = {"statistics": {**record.statistics, name: Statistics.of(samples)}}
    if record.samples_us is not None:
        changes["samples_us"] = {**record.samples_us, **rounded_us({name: samples})}
    return record.model_copy(update=changes)


def _against(relative: dict[str, float], reference: str) -> tuple[str, ...]:
    if not relative:
        return ("not compared with anything",)
    words = ", ".join(f"{name} {value:.2e}" for name, value in sorted(relative.items()))
    return (f"relative L2 to {reference}: {words}",)


def _roofline(handed: Handed, rates: Rates) -> RooflineFacts | None:
    return None if handed.counts is None else RooflineFacts(rates=rates, stages=(handed.counts,))


def _finding(
    handed: Handed,
    made: dict[str, Made],
    way: Way,
    record: Record,
    relative: dict[str, float],
    rates: Rates,
    path: Path,
) -> Finding:
    main = record.statistics.get("device", record.statistics["host"])
    first = record.statistics.get("first-frames")
    counts = handed.counts
    seconds = sum(one.seconds for one in made.values())
    return Finding(
        stage=handed.item.stage,
        mode=handed.item.mode(way.runtime),
        dtype="fp16",
        blocks=handed.item.blocks,
        ms=main.p50,
        spread_ms=(main.min, main.max),
        samples=main.count,
        first_ms=None if first is None else first.p50,
        setup_s=record.setup_s,
        peak_bytes=None if record.costs is None else record.costs.device_peak_bytes,
        floor_ms=None if counts is None else counts.floor_ms(rates),
        bound=None if counts is None else counts.bound(rates),
        relative_l2=relative,
        notes=(
            f"{way.name}, {record.identity.backend} {record.identity.mode}; made in {seconds:.0f} s",
            *(f"{name} in {one.precision}" for name, one in made.items() if one.precision != "fp16"),
            *(note for note in record.notes if "not captured" in note or "ran on the CPU" in note),
            *(f"output {name} is not finite" for name, value in record.output_rms.items() if value is None),
        ),
        record=path.name,
    )
