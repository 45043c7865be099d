"""Binding: each stage's engine over a slot's buffers, and the programs of such contexts that a slot's step may run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from videoscene_rt.chain.buffers import Buffers
from videoscene_rt.chain.description import ChainPlan, Stage
from videoscene_rt.chain.program import Program
from videoscene_rt.chain.schedule import Schedule
from videoscene_rt.chain.slots import Slot
from videoscene_rt.chain.ways import Ways
from videoscene_rt.engines.device import Device, Stream
from videoscene_rt.engines.engine import Context, Engine


class Binder:
    """Binds a chain's stages where its buffers lie, again whenever one of them lies elsewhere.

    Args:
        device: runs them.
        plan: the stages.
        ways: their schedules.
        engines: by graph.
        buffers: what they read and write.
        lanes: a stream for each lane.
    """

    def __init__(
        self,
        device: Device,
        plan: ChainPlan,
        ways: Ways,
        engines: Mapping[str, Engine],
        buffers: Buffers,
        lanes: Sequence[Stream],
    ) -> None:
        self._device = device
        self._plan = plan
        self._ways = ways
        self._engines = engines
        self._buffers = buffers
        self._lanes = lanes

    def bind(self) -> None:
        """Bind every stage of every slot, and make the slots' programs anew. Nothing runs."""
        for slot in self._buffers.slots:
            self._make_programs(slot)
        self._device.synchronize()  # a context may have memory of its own, which is zeroed on the device's own stream

    def scratch_bytes(self, stage: Stage) -> int:
        """What a stage's engine needs beside its buffers."""
        return self._engines[stage.graph].scratch_bytes

    def context(self, stage: Stage, slot: int, scratch: int | None) -> Context:
        """Another use of a stage's engine, bound to a slot's buffers; see `Engine.context`."""
        context = self._engines[stage.graph].context(scratch)
        for tensor, part in stage.bindings.items():
            context.bind(tensor, self._buffers.view(part.buffer, slot, part.index))
        return context

    def _make_programs(self, slot: Slot) -> None:
        """The ways share the contexts: a slot's step goes one way, and its next one waits for it. A context a slot and stage: nothing
        that may run at the same time has the same one."""
        contexts = {
            stage.name: self.context(stage, slot.number, self._buffers.scratch(stage.name))
            for stage in self._plan.every_stage
        }

        def program(schedule: Schedule) -> Program:
            return Program(self._device, schedule, contexts, self._lanes)

        slot.program = program(self._ways.step)
        slot.parts = {name: tuple(map(program, way.parts)) for name, way in self._ways.others.items()}
