"""An item's engines loaded, bound to buffers as its calls say, and put on the stream one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videoscene_rt.bench.engine_bench import Runner
from videoscene_rt.bench.inputs import poison
from videoscene_rt.bench.ort_cuda import OrtBaseline
from videoscene_rt.bench.published.engines.calls import Calls
from videoscene_rt.bench.published.engines.handed import BLOCKS_FILE, Arrays, Handed
from videoscene_rt.bench.published.engines.making import Made, Way, way_folder
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import Context, Engine
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.plugin import PLUGIN_FILE, Plugin
from videoscene_rt.engines.specs import TensorSpec


def open_loader(folder: Path, made: Mapping[str, Made], way: Way, cuda: Any | None) -> Runner:
    """A backend that runs an item's engines.

    Args:
        folder: the item's. made: by graph. way: how they were made.
        cuda: the device; None rehearses on ONNX Runtime's CPU provider.

    Raises:
        BackendError: the runtime or its plug-in cannot be had.
    """
    place = way_folder(folder, way)
    if way.package is None or cuda is None:
        baseline = OrtBaseline("cpu" if cuda is None else "cuda")
        baseline.files = {name: place / name / f"{name}.onnx" for name in made}
        return baseline
    from videoscene_rt.engines.tensorrt.engine import TensorRtBackend
    from videoscene_rt.engines.tensorrt.plugin import load_plugin

    backend = TensorRtBackend(way.package, {name: place / name / one.file for name, one in made.items()}, cuda)
    for name, one in made.items():
        if one.plugin is not None:
            load_plugin(way.package, Plugin(place / name / PLUGIN_FILE, one.plugin))
    return backend


@dataclass
class Bound:
    """An item ready to run; it keeps its memory alive.

    Attributes:
        contexts: one a call, bound, in their order.
        memory: by buffer. calls: what they were bound by.
        engines, scratch: kept.
    """

    contexts: list[Context]
    memory: dict[str, Any]
    calls: Calls
    engines: dict[str, Engine]
    scratch: Any

    def enqueue(self, calls: int | None = None) -> None:
        """Put the first so many calls, or all, on the backend's own stream."""
        for context in self.contexts[:calls]:
            context.enqueue()

    def outputs(self) -> Arrays:
        """On the host."""
        return {name: self.memory[name].read()[self.calls.dropped :] for name in self.calls.outputs}


def bind(backend: Runner, bundle: Bundle, calls: Calls, given: Arrays) -> Bound:
    """Load the engines, allocate every buffer, fill the inputs, poison the outputs, and bind a context for each call.

    All contexts share one scratch memory, as they run one after the other.

    Raises:
        BackendError: there is not enough memory, or an input is missing.
    """
    engines = {name: backend.load(bundle, name) for name in dict.fromkeys(call.graph for call in calls.calls)}
    memory = {name: backend.allocate(dtype, shape) for name, (dtype, shape) in calls.buffers.items()}
    for name in calls.inputs:
        if name not in given:
            raise BackendError(f"the item was handed no {name}", "export it again")
        memory[name].write(given[name])
    for name in calls.outputs:
        dtype, shape = calls.buffers[name]
        memory[name].write(poison(TensorSpec(name=name, dtype=dtype, shape=shape, meaning="")))  # type: ignore[arg-type]  # a plan's
    backend.synchronize()
    most = max(engine.scratch_bytes for engine in engines.values())
    scratch = backend.allocate("uint8", (most,)) if most else None
    contexts = []
    for call in calls.calls:
        context = engines[call.graph].context(None if scratch is None else scratch.pointer)
        for tensor, place in call.places.items():
            context.bind(tensor, memory[place.buffer].view(place.index))
        contexts.append(context)
    return Bound(contexts, memory, calls, engines, scratch)


def write_block_weights(bound: Bound, handed: Handed, folder: Path) -> None:
    """Fill the buffers of a shared block's weights from the file, each in the type that its graph reads."""
    if not bound.calls.weights:
        return
    places = {one.name: one for one in handed.block_weights}
    file = np.memmap(folder / BLOCKS_FILE, np.uint8, "r")
    for buffer, (block, weight) in bound.calls.weights.items():
        place = places[weight]
        begin = block * handed.block_bytes + place.offset
        dtype, shape = bound.calls.buffers[buffer]
        values = file[begin : begin + int(np.prod(place.shape)) * 2].view(np.float16).reshape(place.shape)
        bound.memory[buffer].write(np.ascontiguousarray(values.astype(dtype).reshape(shape)))


def relative_l2(found: Arrays, wanted: Arrays) -> dict[str, float]:
    """‖found − wanted‖ / ‖wanted‖ of each output that both have and that is made of numbers (not the timestep), in float64."""
    result = {}
    for name in found.keys() & wanted.keys():
        if found[name].dtype == np.int32:
            continue
        gap = size = 0.0
        for one, other in zip(found[name], wanted[name], strict=True):  # a frame at a time
            exact = other.astype(np.float64)
            gap += float(np.square(one.astype(np.float64) - exact).sum())
            size += float(np.square(exact).sum())
        result[name] = (gap / size) ** 0.5 if size else gap**0.5
    return result


def captured(
    bound: Bound, stream: Any | None
) -> tuple[Callable[[], object], Callable[[], object] | None, str, tuple[str, ...]]:
    """All calls, and those of the first frames, as CUDA graphs where that can be; launched one by one where not.

    Returns:
        Runs all; runs the first, or None; the mode's name; why nothing was captured.
    """
    first = bound.calls.first
    plain: tuple[Callable[[], object], Callable[[], object] | None] = (
        bound.enqueue,
        None if first is None else lambda: bound.enqueue(first),
    )
    if stream is None:
        return *plain, "enqueue", ()
    from videoscene_rt.bench.cuda_stream import capture

    try:
        whole = capture(stream, bound.enqueue)
        part = None if first is None else capture(stream, lambda: bound.enqueue(first))
    except BackendError as error:
        return *plain, "enqueue", (error.problem,)
    return whole, part, "cuda-graph", ()
