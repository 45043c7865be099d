"""The stages one by one. A graph hides them, so the step is also run uncaptured; the sum stands beside the whole."""

from __future__ import annotations

from dataclasses import asdict

from videoscene_rt import Pipeline
from videoscene_rt.bench.chain_facts import ChainFacts
from videoscene_rt.bench.chain_pipeline import fill
from videoscene_rt.bench.overlap import StageSpan
from videoscene_rt.bench.step.request import BenchRequest
from videoscene_rt.bench.step_facts import StageFacts
from videoscene_rt.scenes.scene import Scene

_REPEATS = 20


def stage_facts(request: BenchRequest, scene: Scene, chain: ChainFacts, whole_ms: float) -> StageFacts:
    """Run the stages uncaptured, in a pipeline of their own where the measured one was captured.

    Args:
        request: of what.
        scene: the one that was measured.
        chain: what was found of the measured pipeline, which is closed by now.
        whole_ms: the whole step's median there.
    """
    spans = _uncaptured(request, scene) if chain.captured else chain.stages
    return StageFacts(
        uncaptured=spans,
        sum_ms=sum(span.end_ms - span.start_ms for span in spans),
        whole_ms=whole_ms,
        captured=chain.captured,
    )


def _uncaptured(request: BenchRequest, scene: Scene) -> tuple[StageSpan, ...]:
    with Pipeline.load(
        request.bundle, request.backend, request.precision, seed=request.seed, threads=request.threads,
        memory=request.memory, capture=False,
    ) as pipeline:  # fmt: skip
        fill(pipeline, scene)
        return tuple(StageSpan(**asdict(time)) for time in pipeline.timeline(_REPEATS))
