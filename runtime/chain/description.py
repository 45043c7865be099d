"""The words of a chain: buffers, slices of them, and stages; and the check that they fit the graphs' contracts."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.manifest import Manifest
from videoscene_rt.engines.specs import TensorSpec


@dataclass(frozen=True)
class Buffer:
    """Fixed memory of the chain, allocated once and zero at load."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Slice:
    """A buffer, or the contiguous part ``start:stop`` of it along ``axis`` (every axis before that one has length 1)."""

    buffer: str
    axis: int = 0
    start: int | None = None
    stop: int | None = None

    @property
    def index(self) -> tuple[slice, ...]:
        """The NumPy index of this part."""
        return (*(slice(None) for _ in range(self.axis)), slice(self.start, self.stop))


@dataclass(frozen=True)
class Stage:
    """One call of one graph: where each of its inputs and outputs lies."""

    name: str
    graph: str
    inputs: dict[str, Slice]
    outputs: dict[str, Slice]

    @property
    def bindings(self) -> dict[str, Slice]:
        """Inputs and outputs together; a graph's tensor names are unique."""
        return {**self.inputs, **self.outputs}


@dataclass(frozen=True)
class ChainPlan:
    """The buffers and the stages of one step, in an order that respects every dependency."""

    buffers: tuple[Buffer, ...]
    stages: tuple[Stage, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers together."""
        return sum(buffer.nbytes for buffer in self.buffers)


def check_plan(plan: ChainPlan, manifest: Manifest) -> None:
    """Every stage binds exactly its graph's tensors, with the dtype and shape the graph promises.

    Raises:
        InputError: the bundle's graphs do not fit together.
    """
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    for stage in plan.stages:
        graph = manifest.graphs.get(stage.graph)
        if graph is None:
            raise InputError(
                f"the bundle has no graph {stage.graph!r}, which the chain needs", "export the bundle again"
            )
        for kind, specs, bound in (("input", graph.inputs, stage.inputs), ("output", graph.outputs, stage.outputs)):
            if {spec.name for spec in specs} != set(bound):
                names = ", ".join(spec.name for spec in specs)
                raise InputError(f"graph {graph.name} has the {kind}s {names}; the chain needs {', '.join(bound)}")
            for spec in specs:
                _check_slice(stage, spec, bound[spec.name], buffers[bound[spec.name].buffer])


def _check_slice(stage: Stage, spec: TensorSpec, part: Slice, buffer: Buffer) -> None:
    shape = list(buffer.shape)
    start, stop, _ = slice(part.start, part.stop).indices(shape[part.axis])
    shape[part.axis] = stop - start
    if (buffer.dtype, tuple(shape)) != (spec.dtype, spec.shape):
        found = f"{buffer.dtype}{shape}"
        raise InputError(f"stage {stage.name}: graph {stage.graph} has {spec}; buffer {part.buffer} gives {found}")
