"""Engines of ONNX Runtime: a derived ONNX file, or, in FP32 on a GPU, the bundle's own; tried there before it is stored."""

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
            for file in order.folder.iterdir():
                file.unlink()
            return on_the_host(why.replace(str(path), f"graph {order.graph} in {order.precision}"))
    return produced


def _derived(order: Order, activations: Activations | None, on_progress: Progress) -> Produced:
    """A derived file; in FP32 none: that is the reference, as it was traced."""
    from videoscene_rt.engines.precision import derive
    from videoscene_rt.engines.rewrite import rewrites_for

    if order.precision == "fp32":
        return Produced("source")
    rewrites = rewrites_for(order.graph, order.here.kind.name)
    on_progress(f"deriving {order.precision}", 0.0)
    path = order.folder / order.here.kind.engine_file
    derived = derive(order.bundle, order.graph, order.precision, activations, path, rewrites=rewrites)
    return Produced(layers=layers_of(derived), messages=derived.notes, half=derived.half)


def _refusal(path: Path) -> str:
    """Why the CUDA provider cannot run a file; "" if it can."""
    try:
        open_session(open_onnxruntime(CUDA), CUDA, path)
    except MissingKernelsError as error:
        return error.problem
    return ""
