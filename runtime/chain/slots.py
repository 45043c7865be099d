"""A slot: one set of input and result buffers, with the program bound to it."""

from __future__ import annotations

from videoscene_rt.chain.arena import ArenaPlan
from videoscene_rt.chain.description import STATUS, Buffer
from videoscene_rt.chain.program import Program
from videoscene_rt.chain.readers import Readers
from videoscene_rt.engines.device import Block, Device, Event, Place, host_array
from videoscene_rt.engines.memory import Memory


class InputBuffer:
    """Where the host writes an input, and where the stages read it.

    Attributes:
        memory: what the stages read.
        host: what the host writes: the same memory, or page-locked memory that is copied.
        copied: whether it has to be copied.
        version: counts what the pipeline was given for this input; the slots may hold different ones.
        rows: how long that was along the first axis.
    """

    def __init__(self, device: Device, buffer: Buffer, block: Block, offset: int) -> None:
        self.memory: Memory = device.memory(buffer.dtype, buffer.shape, block, offset)
        self.copied = block.host_pointer is None
        staging = device.block(buffer.nbytes, "pinned") if self.copied else block
        self.host = host_array(staging, buffer.dtype, buffer.shape, 0 if self.copied else offset)
        self.version = 0
        self.rows = buffer.shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of the first axis."""
        return self.host[:1].nbytes


class Slot:
    """Inputs, results, the program over them, and the events that order their use.

    Attributes:
        number: 0 or 1.
        inputs: by name, without the bound ones.
        results: by name.
        ready: the inputs are in place. begin, done: around the program. All have time.
        status: int32[2] on the host, written by the last stage; see `plan.STATUS`.
        readers: streams that were given a result to read; the next step here waits for them.
        uploaded: bytes of inputs copied so far.
        program: the whole step. parts: the programs of each other way, one after the other.
        part_done: after each part of such a way, with time.
    """

    program: Program
    parts: dict[str, tuple[Program, ...]]

    def __init__(
        self,
        number: int,
        device: Device,
        arena: ArenaPlan,
        blocks: dict[Place, Block],
        buffers: tuple[Buffer, ...],
        most_parts: int = 0,
    ) -> None:
        self.number = number
        self.inputs: dict[str, InputBuffer] = {}
        self.results: dict[str, Memory] = {}
        self.readers = Readers(device)
        self.uploaded = 0
        for buffer in buffers:
            region = arena.region(buffer.name, number)
            block = blocks[region.place]
            if buffer.role == "input":
                self.inputs[buffer.name] = InputBuffer(device, buffer, block, region.offset)
            else:
                self.results[buffer.name] = device.memory(buffer.dtype, buffer.shape, block, region.offset)
            if buffer.name == STATUS:
                self.status = host_array(block, buffer.dtype, buffer.shape, region.offset)
        self.ready: Event = device.event(timing=True)
        self.begin: Event = device.event(timing=True)
        self.done: Event = device.event(timing=True)
        self.part_done: tuple[Event, ...] = tuple(device.event(timing=True) for _ in range(most_parts))

    @property
    def programs(self) -> tuple[Program, ...]:
        """Every one."""
        return (self.program, *(program for parts in self.parts.values() for program in parts))
