"""From a graph to an engine's files: a kernel of ours, a derived ONNX file, or a plan that a builder makes of one."""

from __future__ import annotations

from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.building.onnx_files import produce_onnx
from videoscene_rt.engines.building.order import Order, Produced, Progress, layers_of, on_the_host
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.platform import Platform
from videoscene_rt.engines.plugin import PLUGIN_FILE, Plugin
from videoscene_rt.engines.store.kernel import KERNEL_FILE, kernel_for
from videoscene_rt.engines.tensorrt.files import write_whole


def cannot_run(bundle: Bundle, graph: str, here: Platform) -> str:
    """Why a builder cannot take a graph, as far as that is known beforehand: TensorRT 8.6 and TensorRT-RTX have no scatter with a
    reduction. "" if nothing is known against it."""
    if here.can is None or here.can.scatter_reduction != "none":
        return ""
    # Names of operators and attributes stand in an ONNX file in plain bytes.
    text = bundle.graph_path(graph).read_bytes()
    if not (b"Scatter" in text and b"reduction" in text):
        return ""
    return f"{here.kind.name} {here.version} has no scatter with a reduction"


def produce(order: Order, activations: Activations | None, on_progress: Progress) -> Produced:
    """Make an engine.

    Args:
        order: which.
        activations: the reference's, for scales and the overflow scan; None in FP32.
        on_progress: see `Progress`.

    Raises:
        BackendError: a package that building needs is missing, or the builder refuses or dies.
    """
    kernel = kernel_for(order.graph, order.here.kind)
    if kernel is not None:
        (order.folder / KERNEL_FILE).write_bytes(kernel)
        return Produced("kernel")
    why = cannot_run(order.bundle, order.graph, order.here)
    if why:
        return on_the_host(why)
    try:
        if order.here.can is None:
            return produce_onnx(order, activations, on_progress)
        return _plan(order, activations, weak=not order.here.can.strongly_typed, on_progress=on_progress)
    except ImportError as error:
        raise BackendError(
            f"building engines needs a package: {error}", "pip install 'videoscene-rt[build]'"
        ) from error


def _plan(order: Order, activations: Activations | None, weak: bool, on_progress: Progress) -> Produced:
    from videoscene_rt.engines.precision import derive, derive_weak
    from videoscene_rt.engines.rewrite import rewrites_for
    from videoscene_rt.engines.tensorrt.request import PlanRequest
    from videoscene_rt.engines.tensorrt.supervisor import build_plan

    on_progress(f"deriving {order.precision}", 0.0)
    make = derive_weak if weak else derive
    rewrites = rewrites_for(order.graph, order.here.kind.name, plugin=order.plugin is not None)
    derived = make(
        order.bundle,
        order.graph,
        order.precision,
        activations,
        order.work / f"{order.graph}.onnx",
        rewrites=rewrites,
    )
    plugin = None
    if any(one.needs == "plugin" and one.name in derived.rewritten for one in rewrites):
        plugin = _beside(order)
    notes = list(derived.notes)
    result = build_plan(
        PlanRequest(
            onnx=derived.path,
            out=order.folder / order.here.kind.engine_file,
            package=order.here.kind.module,  # type: ignore[arg-type]  # a plan's backend is one of the two
            precision=order.precision,  # type: ignore[arg-type]  # from a recipe
            layer_precisions=derived.layer_precisions,
            half=derived.half if weak else (),
            workspace_mib=order.workspace_mib,
            level=order.level,
            timing_cache=order.timing_cache,
            plugin=plugin,
        ),
        on_progress,
        notes.append,
    )
    return Produced(
        layers=layers_of(derived),
        attempt=result.attempt,
        # INFO is for the one who looks on; what is kept is what somebody may need later.
        messages=(*notes, *(text for text in result.messages if not text.startswith(("INFO", "VERBOSE")))),
        versions={order.here.kind.module: result.version},
        plugin=None if plugin is None else plugin.path.name,
        half=derived.half,
    )


def _beside(order: Order) -> Plugin | None:
    """The plug-in's library as a file of the engine, for its owner alone: the builder loads this one, and so does whoever runs the plan."""
    if order.plugin is None:
        return None
    path = order.folder / PLUGIN_FILE
    write_whole(path, order.plugin.data)
    return Plugin(path, order.plugin.sha256)
