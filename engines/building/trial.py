"""One call of an engine on host arrays: for the gate, not for the chain."""

from __future__ import annotations

from collections.abc import Callable

from videoscene_rt.engines.activations import Arrays
from videoscene_rt.engines.engine import Backend, Engine
from videoscene_rt.engines.specs import Signature


def caller(backend: Backend, engine: Engine, documented: Signature | None = None) -> Callable[[Arrays], Arrays]:
    """A function that takes every input by name and gives every output by name, in memory of its own.

    Memory is allocated and bound once.

    Args:
        backend: the engine's.
        engine: to call.
        documented: whose types the outputs get, where the engine has some of them in FP16; None leaves them as they come.

    Raises (when called, and here):
        BackendError: see `Context`.
    """
    context = engine.context()
    spec = engine.spec
    types = {tensor.name: tensor.dtype for tensor in (documented or spec).outputs}
    memory = {tensor.name: backend.allocate(tensor.dtype, tensor.shape) for tensor in (*spec.inputs, *spec.outputs)}
    for name, place in memory.items():
        context.bind(name, place.view())

    def call(inputs: Arrays) -> Arrays:
        for tensor in spec.inputs:
            memory[tensor.name].write(inputs[tensor.name])
        context.enqueue()
        backend.synchronize()
        return {name: memory[name].read().astype(dtype) for name, dtype in types.items()}

    return call
