"""The pipeline that is measured: how it is loaded, its chain alone as something to measure, and what it says of itself."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from videoscene_rt import Pipeline
from videoscene_rt.bench.chain_bench import engines_digest
from videoscene_rt.bench.chain_facts import ChainFacts
from videoscene_rt.bench.chain_pipeline import Ways, facts_of, uploaded, whole_results
from videoscene_rt.bench.chain_scene import described
from videoscene_rt.bench.chain_series import SlotTimer, growth
from videoscene_rt.bench.measure import Work, identify
from videoscene_rt.bench.step.request import BenchRequest
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.gates import CHAIN
from videoscene_rt.scenes.scene import Scene

_TIMELINE_REPEATS, _GROWTH_STEPS, _SETTLING, _FEW_S = 20, 256, 10, 3.0
_UNTRAINED = "the weights are untrained (made from a seed): the refined frames are noise"


def load(request: BenchRequest, capture: bool = True) -> Pipeline:
    """The pipeline of a request; see `Pipeline.load`."""
    return Pipeline.load(
        request.bundle,
        request.backend,
        request.precision,
        seed=request.seed,
        threads=request.threads,
        memory=request.memory,
        encoder=request.encoder,
        decoder=request.decoder,
        capture=capture,
        streaming="stream" in request.modes,
        ladder=request.ladder,
    )


def chain_alone(
    request: BenchRequest, bundle: Bundle, source: Any, pipeline: Pipeline, scene: Scene, cuda: bool, setup_s: float
) -> Work:
    """The chain of a pipeline, its inputs in place.

    Args:
        request: what is measured. bundle: of it.
        source: where the scene comes from, see `videoscene_rt.bench.chain_scene.sources`. scene: it.
        pipeline: the pipeline.
        cuda: it runs on a GPU.
        setup_s: seconds that loading and the first step took.
    """
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
        inputs=described(bundle.manifest, source, request.seed),
        run=pipeline.chain.launch,
        synchronize=slot.done.synchronize,
        outputs=lambda: whole_results(pipeline, scene),
        cuda=cuda,
        setup_s=setup_s,
        timer=SlotTimer(pipeline.chain.device, slot.begin, slot.done) if cuda else None,
        versions=pipeline.versions,
        notes=(*pipeline.notes, *([_UNTRAINED] if bundle.manifest.provenance.weights == "seed" else [])),
    )


def chain_facts(request: BenchRequest, pipeline: Pipeline, ways: Ways, step_ms: float) -> ChainFacts:
    """How the chain runs, what it holds, what steps leave behind. ``step_ms`` says how many steps are a few seconds: no more than those,
    and no more than a series of the request has."""
    step_s = max(step_ms, 1e-3) / 1e3
    few = max(1, min(max(request.settings.iterations, int(request.settings.seconds / step_s)), int(_FEW_S / step_s)))
    repeats, many = min(_TIMELINE_REPEATS, few), min(_GROWTH_STEPS, few)
    return facts_of(pipeline, ways.scene, repeats).model_copy(
        update={
            "uploaded_bytes": uploaded(pipeline, ways) if pipeline.chain.device.kind == "cuda" else {},
            "growth": growth(lambda: pipeline.step(ways.scene), pipeline.chain.device, many, min(_SETTLING, many)),
        }
    )


def free_device_bytes() -> int | None:
    """Free memory of the GPU once this process has a context on it."""
    with suppress(BackendError):
        from videoscene_rt.engines.cuda.device import CudaDevice

        return CudaDevice().free_bytes()
    return None
