"""One engine to make, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.platform import Platform
from videoscene_rt.engines.plugin import GivenPlugin
from videoscene_rt.engines.store.records import LayerRecord, Route

Progress = Callable[[str, float], None]
"""Told what is being done and the fraction of it that is done, every second or so; what it raises ends the work."""


@dataclass(frozen=True)
class Order:
    """One engine to make.

    Attributes:
        bundle, graph, precision: what of.
        here: by and for what.
        folder: where its files go; ``work``: where what it is made from goes, which is thrown away.
        workspace_mib, level: the builder's; None for its defaults.
        timing_cache: of the builder.
        plugin: for a graph that can use it.
    """

    bundle: Bundle
    graph: str
    precision: str
    here: Platform
    folder: Path
    work: Path
    workspace_mib: int | None = None
    level: int | None = None
    timing_cache: Path | None = None
    plugin: GivenPlugin | None = None


@dataclass(frozen=True)
class Produced:
    """An engine's files are in place; ``plugin`` is the name of the one that has to be loaded first, ``half`` the caches that are FP16.
    See `EngineRecord` and `EngineIdentity.attempt`."""

    route: Route = "engine"
    layers: tuple[LayerRecord, ...] = ()
    attempt: dict[str, Any] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    plugin: str | None = None
    half: tuple[str, ...] = ()


def on_the_host(why: str) -> Produced:
    """The backend cannot run the graph, and ONNX Runtime's CPU provider does: nothing is made, and it is kept why."""
    return Produced("host", messages=(why,))


def layers_of(derived: Any) -> tuple[LayerRecord, ...]:
    """The report of a derivation (`precision.Derived`) as it is stored."""
    return tuple(
        LayerRecord(pattern=group.pattern, precision=group.precision, count=group.count, why=group.why)
        for group in derived.layers
    )
