"""From figures to a verdict: whether they still hold, and what today's limits say of them."""

from __future__ import annotations

from videoscene_rt.engines.gates import limits
from videoscene_rt.engines.gates.gate import GateResult
from videoscene_rt.engines.machine import driver_version
from videoscene_rt.engines.platform import Platform
from videoscene_rt.engines.store.records import Gated, GateStatus

NOT_RUN = Gated(status="not run")


def holds(gated: Gated, here: Platform, activations_sha256: str) -> bool:
    """Whether its figures were taken here, on these scenes."""
    return (
        gated.result is not None
        and (gated.device, gated.compute_capability) == (here.device, here.compute_capability)
        and gated.result.activations_sha256 == activations_sha256
    )


def judge(result: GateResult, here: Platform, accept: bool) -> Gated:
    """The verdict on figures that were just taken.

    Args:
        result: the figures.
        here: where they were taken.
        accept: take what fails.
    """
    return Gated(
        status=_status(result, accept),
        device=here.device,
        compute_capability=here.compute_capability,
        driver=None if here.kind.device == "cpu" else driver_version(),
        result=result,
    )


def judge_again(gated: Gated, accept: bool) -> Gated:
    """The verdict on figures taken before, by today's limits; what was accepted once stays accepted with the same figures."""
    if gated.result is None:
        return gated
    result = gated.result.model_copy(update={"limits": limits(gated.result.graph, gated.result.precision)})
    accepted = accept or gated.status == "accepted"
    return gated.model_copy(update={"status": _status(result, accepted), "result": result})


def _status(result: GateResult, accept: bool) -> GateStatus:
    return "passed" if result.passed else "accepted" if accept else "refused"
