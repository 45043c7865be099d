"""The chain: every buffer allocated and every engine bound in the constructor; a step runs the stages and nothing else."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.chain.description import ChainPlan
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import Backend, Context, Engine, TensorView


class Chain:
    """The stages of one step over fixed host memory.

    Args:
        plan: the buffers and stages.
        bundle: where the graphs are.
        backend: what runs them; its device is "cpu".

    Raises:
        BackendError: the backend cannot run a graph.
    """

    def __init__(self, plan: ChainPlan, bundle: Bundle, backend: Backend) -> None:
        self.plan = plan
        self._buffers: dict[str, npt.NDArray[Any]] = {
            buffer.name: np.zeros(buffer.shape, buffer.dtype) for buffer in plan.buffers
        }
        self.buffers = MappingProxyType(self._buffers)
        engines: dict[str, Engine] = {}
        self._contexts: list[tuple[str, Context]] = []
        for stage in plan.stages:
            if stage.graph not in engines:
                engines[stage.graph] = backend.load(bundle, stage.graph)
            context = engines[stage.graph].context()
            for tensor, part in stage.bindings.items():
                context.bind(tensor, TensorView.of_numpy(self._buffers[part.buffer][part.index]))
            self._contexts.append((stage.name, context))

    def write(self, name: str, array: npt.NDArray[Any]) -> None:
        """Copy an array into the front of a buffer along its first axis; the rest keeps what it had.

        Args:
            name: the buffer.
            array: its dtype, and its shape but for a first axis that may be shorter.
        """
        self._buffers[name][: array.shape[0]] = array

    def run(self) -> dict[str, float]:
        """Run every stage once, in order.

        Returns:
            Milliseconds of each stage on the host's clock.
        """
        timings = {}
        for name, context in self._contexts:
            start = time.perf_counter_ns()
            context.enqueue()
            timings[name] = (time.perf_counter_ns() - start) / 1e6
        return timings
