"""The way through the chain that a caller chooses with ``decoder=``."""

from __future__ import annotations

from videoscene_rt.chain.description import ChainPlan
from videoscene_rt.chain.plan import step_way, stream_way_name
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.halves import Half


def way_of(plan: ChainPlan, decoder: Half | None, chunks: bool) -> str | None:
    """The way of a step, whole or in chunks.

    Raises:
        InputError: see `whole_way` and `streamed_way`.
    """
    return streamed_way(plan, decoder) if chunks else whole_way(plan, decoder)


def whole_way(plan: ChainPlan, decoder: Half | None) -> str | None:
    """The way of a whole step; None is the chain's own.

    Raises:
        InputError: the decoder is not loaded.
    """
    chosen = _loaded(plan, decoder)
    return None if chosen == plan.decoders[0] else step_way(chosen)


def streamed_way(plan: ChainPlan, decoder: Half | None) -> str:
    """The way of a streamed step.

    Raises:
        InputError: the decoder is not loaded, or the pipeline was loaded without streaming.
    """
    name = stream_way_name(_loaded(plan, decoder))
    if all(way.name != name for way in plan.ways):
        raise InputError("this pipeline was loaded without streaming", "Pipeline.load(bundle, streaming=True)")
    return name


def _loaded(plan: ChainPlan, decoder: Half | None) -> Half:
    if decoder is None:
        return plan.decoders[0]
    if decoder not in plan.decoders:
        raise InputError(
            f"decoder {decoder!r} is not loaded; {' and '.join(plan.decoders)} is",
            'Pipeline.load(…, decoder="both")',
        )
    return decoder
