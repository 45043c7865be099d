"""What is tried, in order, when the builder dies. TensorRT 8.6.0 was seen to die with both sources of tactics and to build with one."""

from __future__ import annotations

from videoscene_rt.engines.tensorrt.capabilities import Package
from videoscene_rt.engines.tensorrt.request import DEFAULT_LEVEL, Attempt

_EDGE, _JIT = "EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"

ATTEMPTS: dict[Package, tuple[Attempt, ...]] = {
    "tensorrt": (
        Attempt((_EDGE, _JIT)),
        Attempt((_JIT,)),
        Attempt((_EDGE,)),
        Attempt(()),
        Attempt((), level=1),
        Attempt((), level=0),
    ),
    "tensorrt_rtx": (Attempt(), Attempt(level=1), Attempt(level=0)),
}


def attempts(package: Package, level: int | None) -> tuple[Attempt, ...]:
    """The attempts for one build, each with its level, none twice.

    Args:
        package: whose builder.
        level: the one asked for; None is the default. No attempt uses a higher one.
    """
    asked = DEFAULT_LEVEL if level is None else level
    steps = (
        Attempt(step.tactic_sources, asked if step.level is None else min(asked, step.level))
        for step in ATTEMPTS[package]
    )
    return tuple(dict.fromkeys(steps))
