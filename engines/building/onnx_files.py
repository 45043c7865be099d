"""Engines of ONNX Runtime: a derived ONNX file, or, in FP32 without a rewrite, the bundle's own; tried on a GPU before it is stored."""

from __future__ import annotations

from pathlib import Path

from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.building.order import Order, Produced, Progress, layers_of, on_the_host
from videoscene_rt.engines.onnxruntime_cuda_session import CUDA, MissingKernelsError, open_onnxruntime, open_session


def produce_onnx(order: Order, activations: Activations | None, on_progress: Progress) -> Produced:
    """Make an engine of ONNX Runtime; see `produce`.

    A graph that the CUDA provider has no kernels for goes to the host as a whole: half of it there would cost a copy at every border.
    """
    produced = _derived(order, activations, on_progress)
    if order.here.kind.device == "cuda":
        on_progress("trying it on the device", 0.5)
        own = produced.route == "engine"
        path = order.folder / order.here.kind.engine_file if own else order.bundle.graph_path(order.graph)
        if why := _refusal(path):
            _clear(order.folder)
            return on_the_host(why.replace(str(path), f"graph {order.graph} in {order.precision}"))
    return produced


def _derived(order: Order, activations: Activations | None, on_progress: Progress) -> Produced:
    """A derived file; none where it would be a copy: in FP32 without a rewrite that fits."""
    from videoscene_rt.engines.precision import derive
    from videoscene_rt.engines.rewrite import rewrites_for

    rewrites = rewrites_for(order.graph, order.here.kind.name)
    if order.precision == "fp32" and not rewrites:
        return Produced("source")
    on_progress(f"deriving {order.precision}", 0.0)
    path = order.folder / order.here.kind.engine_file
    derived = derive(order.bundle, order.graph, order.precision, activations, path, rewrites=rewrites)
    if order.precision == "fp32" and not derived.rewritten:
        _clear(order.folder)
        return Produced("source", messages=derived.notes)
    return Produced(layers=layers_of(derived), messages=derived.notes, half=derived.half)


def _clear(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def _refusal(path: Path) -> str:
    """Why the CUDA provider cannot run a file; "" if it can."""
    try:
        open_session(open_onnxruntime(CUDA), CUDA, path)
    except MissingKernelsError as error:
        return error.problem
    return ""
