"""One pipeline, measured: closed loop, fixed rate, frames, costs, stages, start, baselines; and the machine beside it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from videoscene_rt import Pipeline
from videoscene_rt.bench.beside.nvml import EnergyCounter
from videoscene_rt.bench.beside.sampler import installed
from videoscene_rt.bench.beside.watching import Watch
from videoscene_rt.bench.chain_pipeline import Ways, fill, once
from videoscene_rt.bench.chain_scene import Arrays, sources
from videoscene_rt.bench.clocks import ClockWatch
from videoscene_rt.bench.closed_loop import Loop
from videoscene_rt.bench.measure import measure
from videoscene_rt.bench.record import Record
from videoscene_rt.bench.roofline.measuring import roofline_facts
from videoscene_rt.bench.step.costs import costs
from videoscene_rt.bench.step.found import Found, Measured, doubts
from videoscene_rt.bench.step.loaded import chain_alone, chain_facts, free_device_bytes, load
from videoscene_rt.bench.step.loads import at_a_rate, closed, frames_as_they_come
from videoscene_rt.bench.step.parts import Parts, Tell, words
from videoscene_rt.bench.step.request import BenchRequest
from videoscene_rt.bench.step.stages import stage_facts
from videoscene_rt.bench.step.starts import start_facts
from videoscene_rt.bench.step.turns import baselines
from videoscene_rt.engines.bundle import Bundle, OnVerified
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.platform import KINDS
from videoscene_rt.scenes.fit import fit
from videoscene_rt.scenes.scene import Scene

Keep = Callable[[Measured], None]
_PARTS = 10


def parts_of(request: BenchRequest) -> int:
    """How often `Tell` is called."""
    return _PARTS + len(request.baselines)


def measure_step(
    request: BenchRequest,
    tell: Tell = lambda what: None,
    on_verified: OnVerified | None = None,
    keep: Keep = lambda measured: None,
) -> Measured:
    """Measure a bundle's step. What fails after the closed loop is in the record's ``failures``, and the rest is measured.

    Args:
        request: what, and for how long.
        tell: told what comes now, `parts_of` times.
        on_verified: see `Bundle.open`.
        keep: given what there is after every part, also when an interruption ends it.

    Raises:
        InputError: the request, the bundle or the scene is wrong.
        BackendError: the pipeline cannot be loaded, or a step of the closed loop failed.
    """
    request = request.checked()
    tell("verifying the bundle")
    bundle = Bundle.open(request.bundle, on_verified)
    source = sources(bundle.manifest.preset, request.scenes)[0]
    cuda = KINDS[request.backend].device == "cuda"
    clocks = ClockWatch()
    with Watch(installed() if cuda else None, EnergyCounter() if cuda else None, cuda) as watch:
        run = _Run(request, bundle, source, source.load(), cuda, watch, tell, keep)
        try:
            with watch.ours():
                run.guarded("the pipeline", run.of_the_pipeline)
            run.guarded("what came after it", run.after_it)
        except (KeyboardInterrupt, SystemExit):
            run.keep()
            raise
    run.parts.over()
    try:
        clocks.check()
    except BackendError as error:
        run.parts.failed("clock", error.problem)
    return run.measured()


class _Run:
    """One measurement under way."""

    def __init__(
        self,
        request: BenchRequest,
        bundle: Bundle,
        source: Any,
        scene: Scene,
        cuda: bool,
        watch: Watch,
        tell: Tell,
        keep: Keep,
    ) -> None:
        self.parts = Parts(tell, self.keep)
        self._request, self._bundle, self._source, self._scene, self._cuda = request, bundle, source, scene, cuda
        self._watch, self._tell, self._keep = watch, tell, keep
        self._found: Found | None = None
        self._results: Arrays = {}

    def measured(self) -> Measured:
        """What there is; after the closed loop."""
        assert self._found is not None
        preset = self._bundle.manifest.preset
        images = fit(self._scene, preset.height, preset.width).images
        record: Record = self._found.record(self.parts, self._watch)
        return Measured(record, self._results, images, dict(self.parts.traces))

    def keep(self) -> None:
        """Hand over what there is, if there is anything."""
        if self._found is not None:
            self._keep(self.measured())

    def guarded(self, name: str, work: Callable[[], None]) -> None:
        """Do something; after the closed loop, whatever it raises between its parts, or when it closes a pipeline, is a failure."""
        try:
            work()
        except Exception as error:  # a device that has failed says so once more when it is let go
            if self._found is None:
                raise
            self.parts.failed(name, words(error), traceback.format_exc())

    def of_the_pipeline(self) -> None:
        """Load it, and measure what can be measured while it is there."""
        request, scene = self._request, self._scene
        free = free_device_bytes() if self._cuda else None
        self._tell("loading")
        begin = time.perf_counter()
        with load(request) as pipeline:
            load_s = time.perf_counter() - begin
            self._results = once(pipeline, scene)
            first_s = time.perf_counter() - begin - load_s
            left = pipeline.chain.device.free_bytes()
            taken = None if free is None or left is None else free - left
            self._starting, self._captured, self._placed = (
                (load_s, first_s),
                pipeline.captured,
                pipeline.schedule.placed,
            )
            self._tell("closed loop")
            found = self._found = Found(self._closed_loop(pipeline, load_s + first_s))
            self.keep()
            ways = Ways.of(pipeline, scene)
            run, facts = self.parts.run, found.facts

            def at_rate() -> None:
                facts["rate"], samples, notes = at_a_rate(request, pipeline, scene)
                found.samples.update(samples)
                found.notes += notes

            def frames() -> None:
                facts["stream"], samples = frames_as_they_come(request, pipeline, scene)
                found.samples.update(samples)

            def memory() -> None:
                facts["costs"] = costs(pipeline, ways, request.side)
                chain = chain_facts(request, pipeline, ways, found.work.statistics["host"].p50)
                facts["chain"] = chain.model_copy(update={"device_bytes": taken})

            run(
                "ways to give inputs", lambda: closed(request, pipeline, ways, found.samples), "closed" in request.modes
            )
            run("fixed rate", at_rate, "rate" in request.modes)
            run("frames as they come", frames, "stream" in request.modes)
            run("memory and copies", memory)

    def after_it(self) -> None:
        """Measure what needs the device, or the processor, for itself."""
        found, request = self._found, self._request
        assert found is not None
        facts = found.facts

        def stages() -> None:
            seen = facts["chain"].stages if "chain" in facts and not self._cuda else None
            facts["stages"] = stage_facts(
                lambda: load(request.bare, capture=False), self._scene, seen, found.whole_ms, self._captured
            )

        def roofline() -> None:
            facts["roofline"], missing = roofline_facts(
                self._bundle, self._placed, request.precision, self._scene.num_points, device=found.work.identity.device,
                cuda=self._cuda, threads=request.threads,
            )  # fmt: skip
            found.notes += [missing] if missing else doubts(found)

        def start() -> None:
            facts["start"] = start_facts(request, *self._starting)

        self.parts.run("stages one by one", stages)
        self.parts.run("roofline", roofline)
        self.parts.run("starting anew", start)
        if request.baselines:
            baselines(request, lambda: load(request.bare), self._scene, found, self.parts)

    def _closed_loop(self, pipeline: Pipeline, setup_s: float) -> Record:
        """The chain alone, its inputs in place."""
        fill(pipeline, self._scene)
        work = chain_alone(self._request, self._bundle, self._source, pipeline, self._scene, self._cuda, setup_s)
        steps = [0]

        def run() -> None:
            steps[0] += 1
            work.run()

        def around(loop: Callable[[], Loop]) -> Loop:
            return self._watch.measuring(loop, lambda: steps[0])

        return measure(replace(work, run=run), self._request.settings, keep_samples=True, around=around)
