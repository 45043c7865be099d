"""From a graph to an engine's files: derived in its precision, and built into a plan where the backend wants one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.platform import Platform
from videoscene_rt.engines.store.records import LayerRecord

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Order:
    """One engine to make.

    Attributes:
        bundle, graph, precision: what of.
        here: by and for what.
        folder: where its files go; ``work``: where what it is made from goes, which is thrown away.
        workspace_mib, level: the builder's; None for its defaults.
        timing_cache: of the builder.
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


@dataclass(frozen=True)
class Produced:
    """An engine's files are in place. See `EngineRecord` and `EngineIdentity.attempt`."""

    layers: tuple[LayerRecord, ...] = ()
    attempt: dict[str, Any] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)


def runs_here(bundle: Bundle, graph: str, here: Platform) -> bool:
    """Whether the backend can run this graph at all: TensorRT 8.6 and TensorRT-RTX have no scatter with a reduction."""
    if here.can is None or here.can.scatter_reduction != "none":
        return True
    # Names of operators and attributes stand in an ONNX file in plain bytes.
    text = bundle.graph_path(graph).read_bytes()
    return not (b"Scatter" in text and b"reduction" in text)


def produce(order: Order, activations: Activations | None, on_progress: Progress) -> Produced:
    """Make an engine.

    Args:
        order: which.
        activations: the reference's, for scales and the overflow scan; None in FP32.
        on_progress: called with what is being done and the fraction of it that is done.

    Raises:
        BackendError: a package that building needs is missing, or the builder refuses or dies.
    """
    can = order.here.can
    try:
        if can is None:
            return _derived(order, activations, on_progress)
        return _plan(order, activations, weak=not can.strongly_typed, on_progress=on_progress)
    except ImportError as error:
        raise BackendError(
            f"building engines needs a package: {error}", "pip install 'videoscene-rt[build]'"
        ) from error


def _derived(order: Order, activations: Activations | None, on_progress: Progress) -> Produced:
    from videoscene_rt.engines.precision import derive

    on_progress(f"deriving {order.precision}", 0.0)
    derived = derive(
        order.bundle, order.graph, order.precision, activations, order.folder / order.here.kind.engine_file
    )
    return Produced(_layers(derived))


def _plan(order: Order, activations: Activations | None, weak: bool, on_progress: Progress) -> Produced:
    from videoscene_rt.engines.precision import derive, derive_weak
    from videoscene_rt.engines.tensorrt.request import PlanRequest
    from videoscene_rt.engines.tensorrt.supervisor import build_plan

    on_progress(f"deriving {order.precision}", 0.0)
    make = derive_weak if weak else derive
    derived = make(order.bundle, order.graph, order.precision, activations, order.work / f"{order.graph}.onnx")
    notes: list[str] = []
    result = build_plan(
        PlanRequest(
            onnx=derived.path,
            out=order.folder / order.here.kind.engine_file,
            package=order.here.kind.module,  # type: ignore[arg-type]  # a plan's backend is one of the two
            precision=order.precision,  # type: ignore[arg-type]  # from a recipe
            layer_precisions=derived.layer_precisions,
            workspace_mib=order.workspace_mib,
            level=order.level,
            timing_cache=order.timing_cache,
        ),
        on_progress,
        notes.append,
    )
    return Produced(
        layers=_layers(derived),
        attempt=result.attempt,
        # INFO is for the one who looks on; what is kept is what somebody may need later.
        messages=(*notes, *(text for text in result.messages if not text.startswith(("INFO", "VERBOSE")))),
        versions={order.here.kind.module: result.version},
    )


def _layers(derived: Any) -> tuple[LayerRecord, ...]:
    return tuple(
        LayerRecord(pattern=group.pattern, precision=group.precision, count=group.count, why=group.why)
        for group in derived.layers
    )
