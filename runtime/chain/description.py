"""The words of a chain: buffers, slices of them, and stages; and the check that they fit the graphs' contracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.halves import Half
from videoscene_rt.engines.specs import Signature, TensorSpec

Role = Literal["input", "constant", "inner", "cache", "result"]
"""Who writes a buffer, and when: the user for every step; the pipeline at load, or when the seed changes; a stage for another stage; a
chunk of the autoencoder for the next one, after which nothing reads it; a stage for the user."""

STATUS = "status"
"""The result that the last stage writes, int32[2]: how many values of z_0 are not finite, and the timestep."""


@dataclass(frozen=True)
class Buffer:
    """Fixed memory of the chain, allocated once and zero at load. Inputs and results exist once a slot."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: Role = "inner"

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

    def meets(self, other: Slice) -> bool:
        """Whether the two have memory in common."""
        if self.buffer != other.buffer:
            return False
        if self.axis != other.axis:
            return True  # cut along different axes: taken to meet
        bounds = [(part.start or 0, part.stop) for part in (self, other)]
        (a, a_end), (b, b_end) = bounds
        return (a_end is None or b < a_end) and (b_end is None or a < b_end)

    @property
    def index(self) -> tuple[slice, ...]:
        """The NumPy index of this part."""
        return (*(slice(None) for _ in range(self.axis)), slice(self.start, self.stop))


@dataclass(frozen=True)
class Stage:
    """One call of one graph, or of a kernel of ours: where each of its inputs and outputs lies."""

    name: str
    graph: str
    inputs: dict[str, Slice]
    outputs: dict[str, Slice]

    @property
    def bindings(self) -> dict[str, Slice]:
        """Inputs and outputs together; a graph's tensor names are unique."""
        return {**self.inputs, **self.outputs}


@dataclass(frozen=True)
class Part:
    """Stages that are put onto the device together, and captured as one graph.

    Attributes:
        stages: their names, in an order that respects every dependency.
        frames: start and stop of the refined frames that are ready after it; None if none are.
    """

    stages: tuple[str, ...]
    frames: tuple[int, int] | None = None


@dataclass(frozen=True)
class Way:
    """Another way through the chain than the whole step: parts, one after the other."""

    name: str
    decoder: Half
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class ChainPlan:
    """The buffers and the stages of one step, in an order that respects every dependency.

    Attributes:
        buffers: all of them.
        stages: of the whole step.
        ways: other ways through the chain.
        more: stages that only those have.
        decoders: "full", "tiny", or both; the whole step's own first.
    """

    buffers: tuple[Buffer, ...]
    stages: tuple[Stage, ...]
    ways: tuple[Way, ...] = ()
    more: tuple[Stage, ...] = ()
    decoders: tuple[Half, ...] = ()

    @property
    def every_stage(self) -> tuple[Stage, ...]:
        """The step's stages and those of the other ways."""
        return (*self.stages, *self.more)

    def decoder_of(self, way: str | None) -> Half:
        """The decoder of a way, or of the whole step."""
        return self.decoders[0] if way is None else self.way(way).decoder

    def way(self, name: str) -> Way:
        """The way of that name; KeyError if there is none."""
        return {way.name: way for way in self.ways}[name]

    def alone(self, part: Part) -> ChainPlan:
        """The same chain with the stages of a part alone."""
        stages = {stage.name: stage for stage in self.every_stage}
        return ChainPlan(self.buffers, tuple(stages[name] for name in part.stages))

    def buffer(self, name: str) -> Buffer:
        """The buffer of that name; KeyError if there is none."""
        for buffer in self.buffers:
            if buffer.name == name:
                return buffer
        raise KeyError(name)

    def of_role(self, *roles: Role) -> tuple[Buffer, ...]:
        """The buffers of these roles, in the plan's order."""
        return tuple(buffer for buffer in self.buffers if buffer.role in roles)


def check_plan(plan: ChainPlan, signatures: Mapping[str, Signature]) -> None:
    """Every stage binds exactly its graph's tensors, with the dtype and shape the graph promises.

    Args:
        plan: to check.
        signatures: of every graph and kernel there is.

    Raises:
        InputError: the bundle's graphs do not fit together.
    """
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    for stage in plan.every_stage:
        graph = signatures.get(stage.graph)
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
