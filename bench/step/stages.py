"""The stages one by one. A graph hides them, so the step is also run uncaptured; the sum stands beside the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from videoscene_rt import Pipeline
from videoscene_rt.bench.chain_pipeline import fill
from videoscene_rt.bench.overlap import StageSpan
from videoscene_rt.bench.step_facts import StageFacts
from videoscene_rt.chain.program import Program
from videoscene_rt.chain.schedule import schedule
from videoscene_rt.scenes.scene import Scene

_REPEATS = 20


def stage_facts(
    load: Callable[[], Pipeline], scene: Scene, seen: tuple[StageSpan, ...] | None, whole_ms: float, captured: bool
) -> StageFacts:
    """Run the stages uncaptured, in a pipeline of their own.

    Args:
        load: gives that pipeline.
        scene: the one that was measured.
        seen: the stages of the measured pipeline, where they ran one by one there: nothing is run again then.
        whole_ms: the whole step's median there.
        captured: whether that step was one graph.
    """
    spans = _uncaptured(load, scene) if seen is None else seen
    return StageFacts(
        uncaptured=spans,
        sum_ms=sum(span.end_ms - span.start_ms for span in spans),
        whole_ms=whole_ms,
        captured=captured,
    )


def _uncaptured(load: Callable[[], Pipeline], scene: Scene) -> tuple[StageSpan, ...]:
    """On one stream: beside each other, as in a step, two stages take longer than each by itself."""
    with load() as pipeline:
        fill(pipeline, scene)
        chain = pipeline.chain
        chain.lanes[0].synchronize()
        alone = Program(chain.device, schedule(chain.plan, lanes=1), chain.slots[0].program.contexts, chain.lanes)
        return tuple(StageSpan(**asdict(time)) for time in alone.timeline(_REPEATS))
