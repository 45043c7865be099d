"""The three ways to put load on a pipeline, as series of samples and what there is to say of them."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import Any

from videoscene_rt.bench.chain_pipeline import Ways
from videoscene_rt.bench.chain_series import steps, submissions
from videoscene_rt.bench.closed_loop import Samples, closed_loop
from videoscene_rt.bench.fixed_rate import fixed_rate
from videoscene_rt.bench.frame_stream import arrivals, streams, watch_frames
from videoscene_rt.bench.step.request import BenchRequest
from videoscene_rt.bench.step_facts import RateFacts, StreamFacts

_TOGETHER = 2


def closed(request: BenchRequest, pipeline: Any, ways: Ways, found: dict[str, Samples]) -> None:
    """`Pipeline.step` and `submit` by the way their inputs are given, and the copies alone; on the CPU only what differs there.

    "copy.in" is the upload of a scene's buffers until the device has them, "copy.out" the results until the host has them.

    Args:
        request: for how long. pipeline: whose. ways: the inputs.
        found: takes each series as soon as it is there.
    """
    found["step.scene"] = steps(lambda: pipeline.step(ways.scene), request.short)
    if pipeline.chain.device.kind == "cpu" and not request.every_way:
        return
    side = request.side
    found["step.device"] = steps(lambda: pipeline.step(ways.device), request.short)
    found["step.page-locked"] = steps(lambda: pipeline.step(ways.page_locked), side)
    found["step.scene.to-host"] = steps(lambda: pipeline.step(ways.scene).host(), side)
    found["submit.device"] = submissions(pipeline, ways.device, side)
    found["submit.scene"] = submissions(pipeline, ways.scene, side)
    slot, upload = pipeline.chain.slots[0], pipeline.chain.uploads.upload
    found["copy.in"] = closed_loop(lambda: upload(slot, ways.page_locked), slot.ready.synchronize, side).host
    result = pipeline.step(ways.scene)
    found["copy.out"] = closed_loop(result.host, lambda: None, side).host


def at_a_rate(request: BenchRequest, pipeline: Any, scene: Any) -> tuple[RateFacts, dict[str, Samples], list[str]]:
    """Inputs at a fixed rate, one step at a time, the newest input first."""
    statuses: Counter[str] = Counter()

    def by(left_s: float) -> None:
        statuses[pipeline.step(scene, deadline=left_s).status] += 1

    run = fixed_rate(
        lambda: pipeline.step(scene),
        request.rate,
        request.arrivals,
        request.deadline_ms,
        by=by if request.ladder is not None else None,
    )
    facts = RateFacts(
        rate_hz=run.rate_hz,
        deadline_ms=run.deadline_ms,
        arrivals=run.arrivals,
        done=run.age.size,
        dropped=run.dropped,
        missed=run.missed,
        overhead_us=run.overhead_us,
        statuses=dict(statuses),
    )
    series = {"rate.age": run.age, "rate.step": run.step, "rate.wait": run.wait, "rate.oldest": run.oldest}
    told = [] if facts.verdict == "met" else [rate_words(facts)]
    if statuses:
        told.append(
            "by the deadline: " + ", ".join(f"{status} {count:,}" for status, count in sorted(statuses.items()))
        )
    return facts, series, told


def rate_words(facts: RateFacts) -> str:
    """What came of a rate, in a sentence."""
    told = {"met": "is met", "missed at times": "is missed at times", "not met": "is not met"}[facts.verdict]
    return (
        f"{facts.rate_hz:g} Hz {told}: of {facts.arrivals:,} inputs {facts.dropped:,} were dropped for a newer one and "
        f"{facts.missed:,} answered after {facts.deadline_ms:.3g} ms"
    )


def frames_as_they_come(request: BenchRequest, pipeline: Any, scene: Any) -> tuple[StreamFacts, dict[str, Samples]]:
    """Time to the first and to the last frame of a stream on an idle pipeline, and the spacing of frames in a long run."""
    first, last, chunks = arrivals(pipeline, scene, request.short)
    groups = max(2, len(chunks) * request.side.iterations + 1)
    run = watch_frames(streams(pipeline, scene, _TOGETHER), groups)
    facts = StreamFacts(
        group=run.group,
        together=_TOGETHER,
        frames_per_second=run.frames_per_second,
        how=f"streamed: {chunked(chunks)} frames, each chunk on the host while the next is computed",
    )
    return facts, {"stream.first-frame": first, "stream.last-frame": last, "stream.spacing": run.spacing}


def chunked(sizes: tuple[int, ...]) -> str:
    """Sizes of chunks in words: "9 + 5 × 8"."""
    groups = [(size, len(list(same))) for size, same in groupby(sizes)]
    return " + ".join(str(size) if count == 1 else f"{count} × {size}" for size, count in groups)
