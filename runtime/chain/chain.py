"""The chain: memory planned and allocated, engines bound and captured in the constructor; a step launches, and nothing else.

See docs/chain.md for the words.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy.typing as npt

from videoscene_rt.chain.arena import ArenaPlan, plan_arena
from videoscene_rt.chain.arrays import Given
from videoscene_rt.chain.capturing import Capture, capture_all
from videoscene_rt.chain.description import STATUS, Buffer, ChainPlan, Stage
from videoscene_rt.chain.download import Downloader
from videoscene_rt.chain.plan import step_way
from videoscene_rt.chain.program import Program, StageTime
from videoscene_rt.chain.schedule import Schedule
from videoscene_rt.chain.slots import Slot
from videoscene_rt.chain.upload import Uploader
from videoscene_rt.chain.ways import Ways
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.device import Block, Device, Event, GraphForm, Place
from videoscene_rt.engines.engine import Backend, Context, Engine, TensorView
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.halves import Half
from videoscene_rt.engines.keep import keep_engine
from videoscene_rt.engines.kernels.watch import watch_engine
from videoscene_rt.engines.memory import Memory
from videoscene_rt.engines.slices import part_of

MemoryMode = Literal["auto", "copied", "mapped"]
MEMORY_MODES: tuple[MemoryMode, ...] = ("auto", "copied", "mapped")
_LOG = logging.getLogger("videoscene_rt")


class Chain:
    """The stages of one step over fixed memory of the backend's device.

    Args:
        plan: the buffers and stages.
        bundle: where the graphs are.
        backend: what runs them.
        slots: sets of inputs and results.
        priority: of every stream; the device's own numbers.
        capture: replay each slot's stages as one graph, where the device can: see `Capture`.
        memory: "mapped" puts inputs and results into host memory that the device addresses, "copied" into device memory; "auto" takes
            the first where host and device share memory.

    Raises:
        InputError: the device has no such priority.
        BackendError: the backend cannot run a graph, or there is not enough memory: it says what needs how much.

    Attributes:
        notes: what does not run as it was asked for, and why.
        graph_form: of the graphs that are replayed; None where stages run one by one.
        launching: held while something is put onto the lanes.
    """

    def __init__(
        self,
        plan: ChainPlan,
        bundle: Bundle,
        backend: Backend,
        *,
        slots: int = 1,
        priority: int = 0,
        capture: Capture = False,
        memory: MemoryMode = "auto",
    ) -> None:
        self.plan = plan
        self.device: Device = backend.runs_on
        self.ways = Ways.of(plan)
        self.schedule: Schedule = self.ways.step
        self.notes: list[str] = []
        self._backend = backend
        self._engines = self._load(bundle)
        scratch = {stage.name: self._engines[stage.graph].scratch_bytes for stage in plan.every_stage}
        mapped = memory == "mapped" or (memory == "auto" and self.device.unified)
        self.arena: ArenaPlan = plan_arena(plan, self.ways, scratch, slots, mapped)
        self._blocks = self._allocate()
        self._shared = {
            buffer.name: self._place(buffer, self.arena.region(buffer.name).offset)
            for buffer in plan.of_role("constant", "inner", "cache")
        }
        self.lanes = tuple(self.device.new_stream(priority) for _ in range(self.ways.lanes))
        per_slot = plan.of_role("input", "result")
        most = max((len(way.parts) for way in plan.ways), default=0)
        self.slots = tuple(
            Slot(number, self.device, self.arena, self._blocks, per_slot, most) for number in range(slots)
        )
        self._uploader = Uploader(self.device, self.slots, self.device.new_stream(priority))
        results = tuple(buffer for buffer in plan.of_role("result") if buffer.name != STATUS)
        self._downloader = Downloader(self.device, results, self.device.new_stream(priority))
        self.launching = threading.Lock()
        self._bound: dict[str, TensorView] = {}
        for slot in self.slots:
            self._make_programs(slot)
        self.device.synchronize()
        self.graph_form: GraphForm | None = None
        if capture and self.device.captures:
            self._capture("plain" if capture is True else capture)

    @property
    def captured(self) -> bool:
        """Whether every slot's stages are replayed as one graph, and the parts of its other ways as one each."""
        return all(program.captured for slot in self.slots for program in slot.programs)

    @property
    def step_schedules(self) -> dict[Half, Schedule]:
        """The whole step's schedule with each decoder that was loaded, the chain's own first."""
        own, *others = self.plan.decoders
        return {own: self.schedule, **{name: self.ways.others[step_way(name)].parts[0] for name in others}}

    @property
    def bytes_uploaded(self) -> int:
        """Bytes of inputs copied since the chain was made."""
        return sum(slot.uploaded for slot in self.slots)

    @property
    def bound(self) -> frozenset[str]:
        """The buffers that are the user's own memory."""
        return frozenset(self._bound)

    def upload(self, arrays: Mapping[str, Given], slot: int = 0, after: int | None = None) -> None:
        """Take inputs into a slot that no step is using; the rest keep what the chain was last given.

        Args:
            arrays: by input; see `videoscene_rt.chain.arrays.taken`. The first axis may be shorter.
            slot: which.
            after: the handle of a stream on which device arrays are made and used again: the copies wait for it, and it for them.
        """
        if after is not None:
            self.device.order(after, before=self._uploader.stream.handle)
        self._uploader.upload(self.slots[slot], arrays)
        self._uploader.look(self.slots[slot], arrays)
        if after is not None:
            self.device.order(self._uploader.stream.handle, before=after)

    def nonfinite_inputs(self, slot: int) -> dict[str, int]:
        """By input that was given on the device, how many of its values are not finite, where any is not; when it has been rendered."""
        return self._uploader.nonfinite(self.slots[slot])

    def adopt_inputs(self, other: Chain) -> None:
        """Take over what another chain with the same inputs, on the same device, was last given; no step of this one runs."""
        self._uploader.adopt(other._uploader, self.slots[0])

    @property
    def upload_stream(self) -> int:
        """The handle of the stream that reads what `upload` is given."""
        return int(self._uploader.stream.handle)

    def launch(
        self, slot: int = 0, way: str | None = None, on_part: Callable[[int], bool] | None = None
    ) -> dict[str, float]:
        """Run one step of a slot on its inputs; on a device, without waiting: `Slot.done` says when it is.

        Args:
            slot: which.
            way: one of the plan's other ways; None is the whole step. `Slot.part_done` says when each of its parts is done.
            on_part: told each part's number when it was put onto the device (on the CPU: when it has run); says whether to go on.

        Returns:
            Milliseconds of each stage, where the device runs what it is given at once (the CPU).
        """
        chosen, main = self.slots[slot], self.lanes[0]
        with self.launching:
            main.wait(chosen.ready)
            chosen.readers.order(before=main)
            main.record(chosen.begin)
            times = chosen.program.launch() if way is None else self._launch_parts(chosen, way, on_part)
            main.record(chosen.done)
        return times

    def _launch_parts(self, slot: Slot, way: str, on_part: Callable[[int], bool] | None) -> dict[str, float]:
        times: dict[str, float] = {}
        for number, program in enumerate(slot.parts[way]):
            times |= program.launch()
            self.lanes[0].record(slot.part_done[number])
            if on_part is not None and not on_part(number):
                break
        return times

    def run(self) -> dict[str, float]:
        """One step of the first slot, and wait; see `launch`."""
        times = self.launch()
        self.slots[0].done.synchronize()
        return times

    def write(self, name: str, array: npt.NDArray[Any]) -> None:
        """Copy a host array into the front of a buffer along its first axis, when nothing runs; the rest keeps what it had.

        Args:
            name: the buffer; an input is written in the first slot.
            array: its dtype, and its shape but for a first axis that may be shorter.
        """
        if self.plan.buffer(name).role == "input":
            self.upload({name: array})
            self.slots[0].ready.synchronize()
            return
        self.lanes[0].synchronize()
        self._memory(name, self.slots[0]).write(array)
        self.device.synchronize()

    def read(self, name: str, slot: int = 0) -> npt.NDArray[Any]:
        """The content of a buffer on the host, after every step so far; on the CPU a view, valid until the next one."""
        self.lanes[0].synchronize()
        self._uploader.stream.synchronize()
        return self._memory(name, self.slots[slot]).read()

    def download(self, slot: int = 0) -> dict[str, npt.NDArray[Any]]:
        """The results of a slot's last step on the host, when it is done: views, valid until the slot's next step.

        Raises:
            BackendError: the step failed.
        """
        return self._downloader.download(self.slots[slot], self._bound)

    def order_after(self, event: Event, handle: int) -> None:
        """Make a stream, anybody's, wait for an event of this chain, by way of the stream that copies results to the host."""
        stream = self._downloader.stream
        stream.wait(event)
        self.device.order(stream.handle, before=handle)

    def download_frames(self, slot: int, part: int, span: tuple[int, int], name: str = "frames") -> npt.NDArray[Any]:
        """Some frames of a result after a part that is done, on the host: a view, valid until the slot's next step.

        Raises:
            BackendError: the part failed.
        """
        place = self.slots[slot]
        return self._downloader.download_frames(place, place.part_done[part], name, span, self._bound)

    def bind(self, name: str, view: TensorView) -> None:
        """Let the stages use the user's memory for an input, or for the one slot's result, from the next step on.

        It waits until nothing runs, binds, and captures again: no graph of before is left.

        Args:
            name: the buffer.
            view: of its dtype and shape, on the device; its owner is kept.

        Raises:
            InputError: the buffer cannot be bound.
            BackendError: an engine refuses the address.
        """
        buffer = self.plan.buffer(name)
        if buffer.role not in ("input", "result") or name == STATUS:
            raise InputError(f"{name} cannot be bound", "inputs and results can")
        if buffer.role == "result" and len(self.slots) > 1:
            raise InputError(f"{name}: a result can be bound where there is one slot", "load the pipeline with slots=1")
        form = self.graph_form
        self.lanes[0].synchronize()
        before = dict(self._bound)
        self._bound[name] = view
        try:
            self._rebind()
        except BackendError:
            self._bound = before
            self._rebind()
            raise
        finally:
            if form is not None:
                self._capture(form)

    def timeline(self, repeats: int = 20) -> tuple[StageTime, ...]:
        """When each stage of the first slot runs within a step: medians. It runs steps, on what the slot holds."""
        self.lanes[0].synchronize()
        return self.slots[0].program.timeline(repeats)

    def view(self, name: str, slot: int = 0) -> TensorView:
        """Where a buffer lies."""
        return self._bound.get(name) or self._memory(name, self.slots[slot]).view()

    def scratch_bytes(self, stage: Stage) -> int:
        """What a stage's engine needs beside its buffers."""
        return self._engines[stage.graph].scratch_bytes

    def context(self, stage: Stage, slot: int, scratch: int | None) -> Context:
        """Another use of a stage's engine, bound to a slot's buffers; see `Engine.context`."""
        context = self._engines[stage.graph].context(scratch)
        for tensor, part in stage.bindings.items():
            context.bind(tensor, self._part(part.buffer, self.slots[slot], part.index))
        return context

    def _load(self, bundle: Bundle) -> dict[str, Engine]:
        engines: dict[str, Engine] = {}
        for stage in self.plan.every_stage:
            if stage.graph not in engines:
                engines[stage.graph] = self._engine(bundle, stage.graph)
        return engines

    def _engine(self, bundle: Bundle, graph: str) -> Engine:
        if graph == "watch":
            return watch_engine(self.device, self.plan.buffer("z_0").shape)
        if graph == "keep":
            return keep_engine(self.device, *self.plan.buffer("frames").shape[1:3])
        return self._backend.load(bundle, graph)

    def _allocate(self) -> dict[Place, Block]:
        places: tuple[Place, ...] = ("device", "mapped")
        try:
            return {place: self.device.block(self.arena.size(place), place) for place in places}
        except BackendError as error:
            free = self.device.free_bytes()
            left = "" if free is None else f"; {free / 2**20:.0f} MiB are free"
            raise BackendError(
                f"the chain needs {self.arena.nbytes / 2**20:.0f} MiB on {self.device.name}: {self.arena.words()}{left}",
                "use a smaller preset, slots=1, or end what else uses the device",
            ) from error

    def _place(self, buffer: Buffer, offset: int) -> Memory:
        return self.device.memory(buffer.dtype, buffer.shape, self._blocks["device"], offset)

    def _memory(self, name: str, slot: Slot) -> Memory:
        if name in self._shared:
            return self._shared[name]
        return slot.inputs[name].memory if name in slot.inputs else slot.results[name]

    def _make_programs(self, slot: Slot) -> None:
        """Bind every stage of a slot. The ways share the contexts: a slot's step goes one way, and its next one waits for it."""
        contexts = {stage.name: self._context(stage, slot) for stage in self.plan.every_stage}

        def program(schedule: Schedule) -> Program:
            return Program(self.device, schedule, contexts, self.lanes)

        slot.program = program(self.schedule)
        slot.parts = {name: tuple(map(program, way.parts)) for name, way in self.ways.others.items()}

    def _context(self, stage: Stage, slot: Slot) -> Context:
        """A context a slot and stage: nothing that may run at the same time has the same one."""
        region = self.arena.scratch(stage.name)
        scratch = None if region is None else self._blocks["device"].pointer + region.offset
        return self.context(stage, slot.number, scratch)

    def _part(self, name: str, slot: Slot, index: tuple[slice, ...]) -> TensorView:
        bound = self._bound.get(name)
        if bound is None:
            return self._memory(name, slot).view(index)
        return part_of(bound, index)

    def _rebind(self) -> None:
        for slot in self.slots:
            self._make_programs(slot)
        self.device.synchronize()  # a context may have memory of its own, which is zeroed on the device's own stream

    def _capture(self, wanted: GraphForm) -> None:
        programs = [program for slot in self.slots for program in slot.programs]
        self.graph_form, notes = capture_all(programs, wanted)
        self.notes += notes
        for note in notes:
            _LOG.warning(note)
