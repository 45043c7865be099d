"""The chain: every buffer allocated and every engine bound in the constructor; a step runs the stages and nothing else."""

from __future__ import annotations

import time
from typing import Any

import numpy.typing as npt

from videoscene_rt.chain.description import ChainPlan
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import Backend, Context, Engine


class Chain:
    """The stages of one step over fixed memory of the backend's device.

    Args:
        plan: the buffers and stages.
        bundle: where the graphs are.
        backend: what runs them.

    Raises:
        BackendError: the backend cannot run a graph.
    """

    def __init__(self, plan: ChainPlan, bundle: Bundle, backend: Backend) -> None:
        self.plan = plan
        self._backend = backend
        self._memory = {buffer.name: backend.allocate(buffer.dtype, buffer.shape) for buffer in plan.buffers}
        engines: dict[str, Engine] = {}
        self._contexts: list[tuple[str, Context]] = []
        for stage in plan.stages:
            if stage.graph not in engines:
                engines[stage.graph] = backend.load(bundle, stage.graph)
            context = engines[stage.graph].context()
            for tensor, part in stage.bindings.items():
                context.bind(tensor, self._memory[part.buffer].view(part.index))
            self._contexts.append((stage.name, context))

    def write(self, name: str, array: npt.NDArray[Any]) -> None:
        """Copy a host array into the front of a buffer along its first axis; the rest keeps what it had.

        Args:
            name: the buffer.
            array: its dtype, and its shape but for a first axis that may be shorter.
        """
        self._memory[name].write(array)

    def read(self, name: str) -> npt.NDArray[Any]:
        """The content of a buffer on the host; on the CPU a view, valid until the next `run`."""
        return self._memory[name].read()

    def run(self) -> dict[str, float]:
        """Run every stage once, in order, and wait.

        Returns:
            Milliseconds of each stage on the host's clock.
        """
        timings = {}
        for name, context in self._contexts:
            start = time.perf_counter_ns()
            context.enqueue()
            self._backend.synchronize()
            timings[name] = (time.perf_counter_ns() - start) / 1e6
        return timings
