"""Measure the whole step: ``python -m videoscene_rt.bench.chain_bench request.json``, in an interpreter that has the backend.

One record a mode. Its series, in milliseconds: "device", "host" and "enqueue" are the chain alone, inputs in place; "step.WAY" is
`Pipeline.step` and "submit.WAY" the call of `Pipeline.submit`, by the way the inputs are given: as a Scene, as arrays in device memory,
as page-locked arrays; "step.scene.to-host" also copies the results to the host.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from videoscene_rt import Pipeline
from videoscene_rt.bench.chain_facts import ChainFacts, Throughput
from videoscene_rt.bench.chain_pipeline import Ways, facts_of, fill, once, uploaded, whole_results
from videoscene_rt.bench.chain_scene import described, sources
from videoscene_rt.bench.chain_series import SlotTimer, growth, in_flight, steps, submissions
from videoscene_rt.bench.closed_loop import LoopSettings, Samples
from videoscene_rt.bench.measure import Work, identify, measure, record_name
from videoscene_rt.bench.record import Record, Statistics, rounded_us, write_record
from videoscene_rt.bench.request import Request, main
from videoscene_rt.chain.capturing import Capture
from videoscene_rt.chain.recording_scenes import SceneSource
from videoscene_rt.engines.backends import check_pair
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.gates import CHAIN
from videoscene_rt.engines.platform import KINDS
from videoscene_rt.engines.store.store import EngineStore
from videoscene_rt.scenes.scene import Scene

Mode = Literal["captured", "device-launch", "uncaptured"]
_CAPTURE: dict[Mode, Capture] = {"captured": True, "device-launch": "device-launch", "uncaptured": False}
_GRAPHS = {"plain": "chain-graph", "device-launch": "chain-graph-device-launch", None: "chain-enqueue"}
_IN_FLIGHT = 2


class ChainRequest(Request):
    """What to measure.

    Attributes:
        backend, precision, memory, threads: see `Pipeline.load`.
        scenes: scene folders; the first is timed. Without one, a built-in room.
        modes: the first is measured in full, the others by the chain alone and one way of a step. Where nothing can be captured, one.
            "device-launch" fails where the driver takes no such graph.
        full: false measures the first mode like the others.
        settings: ``iterations`` is the number of steps of every series, and of those over which memory is watched.
    """

    backend: str = "onnxruntime"
    scenes: tuple[Path, ...] = ()
    modes: tuple[Mode, ...] = ("captured", "uncaptured")
    memory: Literal["auto", "mapped", "copied"] = "auto"
    threads: int | None = None
    full: bool = True
    timeline_repeats: int = 20
    settings: LoopSettings = LoopSettings(iterations=1000, seconds=0.0)


def measure_chain(request: ChainRequest) -> dict[str, Any]:
    """Measure the modes of a request.

    Returns:
        ``records``: the file by mode as it ran; ``failures``: why, by mode that did not run as it was asked for.

    Raises:
        InputError: the request or the bundle is wrong.
        BackendError: the pipeline cannot be loaded, or a step failed.
    """
    if request.graphs is not None:
        raise InputError("chain_bench measures the whole step; it takes no graphs", "engine_bench measures graphs")
    check_pair(request.backend, request.precision)
    bundle = Bundle.open(request.bundle)
    source = sources(bundle.manifest.preset, request.scenes)[0]
    scene = source.load()
    request.out.mkdir(parents=True, exist_ok=True)
    records: dict[str, str] = {}
    failures: dict[str, str] = {}
    for number, mode in enumerate(request.modes):
        record = measure_mode(request, bundle, source, scene, mode, full=request.full and number == 0)
        if mode == "device-launch" and record.identity.mode != _GRAPHS["device-launch"]:
            failures[mode] = next((note for note in record.notes if mode in note), "this device captures nothing")
            continue
        path = request.out / record_name(record.identity)
        write_record(path, record)
        records[record.identity.mode] = str(path)
        if mode == "captured" and record.chain is not None and not record.chain.captured:
            break  # uncaptured would be the same once more
    return {"records": records, "failures": failures}


def measure_mode(
    request: ChainRequest, bundle: Bundle, source: SceneSource, scene: Scene, mode: Mode, *, full: bool
) -> Record:
    """Load a pipeline, measure it and close it."""
    cuda = KINDS[request.backend].device == "cuda"
    free = _free_device_bytes() if cuda else None
    begin = time.perf_counter()
    with Pipeline.load(
        request.bundle, request.backend, request.precision, seed=request.seed, threads=request.threads,
        memory=request.memory, capture=_CAPTURE[mode], streaming=False,
    ) as pipeline:  # fmt: skip
        once(pipeline, scene)
        setup_s = time.perf_counter() - begin
        left = pipeline.chain.device.free_bytes()
        ways = Ways.of(pipeline, scene)
        flows = _flows(pipeline, ways, request.settings.iterations) if full else {}
        fill(pipeline, scene)
        slot = pipeline.chain.slots[0]
        work = Work(
            identity=identify(
                bundle, CHAIN, engines_digest(bundle, request.backend, request.precision), request.backend, request.precision,
                _GRAPHS[pipeline.chain.graph_form], cuda=cuda,
            ),
            inputs=described(bundle.manifest, source, request.seed),
            run=pipeline.chain.launch,
            synchronize=slot.done.synchronize,
            outputs=lambda: whole_results(pipeline, scene),
            cuda=cuda,
            setup_s=setup_s,
            timer=SlotTimer(pipeline.chain.device, slot.begin, slot.done) if cuda else None,
            versions=pipeline.versions,
            notes=tuple(pipeline.notes),
        )  # fmt: skip
        record = measure(work, request.settings, request.keep_samples)
        samples = _samples(pipeline, ways, request.settings, full=full)
        statistics = {**record.statistics, **{name: Statistics.of(values) for name, values in samples.items()}}
        facts = _facts(pipeline, ways, request, statistics, full=full)
        taken = None if free is None or left is None else free - left
        kept = {**(record.samples_us or {}), **rounded_us(samples)} if request.keep_samples else None
        return record.model_copy(
            update={
                "statistics": statistics,
                "samples_us": kept,
                "chain": facts.model_copy(update={"device_bytes": taken, "throughput": flows}),
            }
        )


def engines_digest(bundle: Bundle, backend: str, precision: str) -> str:
    """A name for all engines of a pair together: over their folders' names, which hold their identities."""
    pair = EngineStore(bundle.folder).selected().pairs.get(f"{backend}/{precision}")
    if pair is None:
        return f"graphs:{bundle.digest[:32]}"
    return f"engines:{text_sha256(f'{graph} {folder}' for graph, folder in sorted(pair.graphs.items()))[:32]}"


def _samples(pipeline: Any, ways: Ways, settings: LoopSettings, *, full: bool) -> dict[str, Samples]:
    device = {"step.device": steps(lambda: pipeline.step(ways.device), settings)}
    if not full:
        return device
    return {
        **device,
        "step.scene": steps(lambda: pipeline.step(ways.scene), settings),
        "step.page-locked": steps(lambda: pipeline.step(ways.page_locked), settings),
        "step.scene.to-host": steps(lambda: pipeline.step(ways.scene).host(), settings),
        "submit.device": submissions(pipeline, ways.device, settings),
        "submit.scene": submissions(pipeline, ways.scene, settings),
    }


def _facts(
    pipeline: Any, ways: Ways, request: ChainRequest, statistics: dict[str, Statistics], *, full: bool
) -> ChainFacts:
    tails = {name: found.p99 / found.p50 for name, found in statistics.items() if found.p99 is not None and found.p50}
    facts = facts_of(pipeline, ways.scene, request.timeline_repeats).model_copy(
        update={"p99_over_p50": tails, "uploaded_bytes": uploaded(pipeline, ways)}
    )
    if not full:
        return facts
    watched = growth(lambda: pipeline.step(ways.scene), pipeline.chain.device, request.settings.iterations)
    return facts.model_copy(update={"growth": watched})


def _flows(pipeline: Any, ways: Ways, count: int) -> dict[str, Throughput]:
    """Steps in flight, by the way their inputs are given."""
    return {
        "device": in_flight(pipeline, ways.device, count, _IN_FLIGHT),
        "scene": in_flight(pipeline, ways.scene, count, _IN_FLIGHT),
    }


def _free_device_bytes() -> int | None:
    """Free memory of the GPU once this process has a context on it."""
    with suppress(BackendError):
        from videoscene_rt.engines.cuda.device import CudaDevice

        return CudaDevice().free_bytes()
    return None


if __name__ == "__main__":
    sys.exit(main(ChainRequest, measure_chain, sys.argv[1:]))
