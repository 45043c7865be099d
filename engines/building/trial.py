"""One call of an engine on host arrays: for the gate, not for the chain."""

from __future__ import annotations

from collections.abc import Callable

from videoscene_rt.engines.activations import Arrays
from videoscene_rt.engines.engine import Backend, Engine


def caller(backend: Backend, engine: Engine) -> Callable[[Arrays], Arrays]:
    """A function that takes every input by name and gives every output by name, in memory of its own.

    Memory is allocated and bound once.

    Raises (when called, and here):
        BackendError: see `Context`.
    """
    context = engine.context()
    spec = engine.spec
    memory = {tensor.name: backend.allocate(tensor.dtype, tensor.shape) for tensor in (*spec.inputs, *spec.outputs)}
    for name, place in memory.items():
        context.bind(name, place.view())

    def call(inputs: Arrays) -> Arrays:
        for tensor in spec.inputs:
            memory[tensor.name].write(inputs[tensor.name])
        context.enqueue()
        backend.synchronize()
        return {tensor.name: memory[tensor.name].read().copy() for tensor in spec.outputs}

    return call
