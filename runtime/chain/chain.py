"""The chain: memory planned and allocated, engines bound and captured in the constructor; a step launches, and nothing else.

See docs/chain.md for the words.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Literal

import numpy.typing as npt

from videoscene_rt.chain.arena import ArenaPlan, plan_arena
from videoscene_rt.chain.binding import Binder
from videoscene_rt.chain.buffers import Buffers
from videoscene_rt.chain.cache_types import typed_as_built
from videoscene_rt.chain.capturing import Capture, capture_all
from videoscene_rt.chain.description import STATUS, ChainPlan
from videoscene_rt.chain.download import Downloader
from videoscene_rt.chain.host_memory import require_host_memory
from videoscene_rt.chain.plan import step_way
from videoscene_rt.chain.program import StageTime
from videoscene_rt.chain.schedule import Schedule
from videoscene_rt.chain.slots import Slot
from videoscene_rt.chain.stage_engines import load_engines
from videoscene_rt.chain.upload import Uploader
from videoscene_rt.chain.ways import Ways
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.device import Device, GraphForm
from videoscene_rt.engines.engine import Backend, TensorView
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.halves import Half

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
        slots: the sets of inputs and results, with the events of their steps.
        uploads: takes inputs into a slot. downloads: brings results to the host.
        binder: binds the stages.
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
        self.device: Device = backend.runs_on
        self.ways = Ways.of(plan)
        self.schedule: Schedule = self.ways.step
        self.notes: list[str] = []
        self._backend = backend  # kept: a library or a logger that it opened is to outlive the engines
        if self.device.kind == "cpu":
            require_host_memory(bundle)
        engines = load_engines(plan, bundle, backend, self.device)
        self.plan = plan = typed_as_built(plan, {name: engine.spec for name, engine in engines.items()})
        scratch = {stage.name: engines[stage.graph].scratch_bytes for stage in plan.every_stage}
        mapped = memory == "mapped" or (memory == "auto" and self.device.unified)
        self.arena: ArenaPlan = plan_arena(plan, self.ways, scratch, slots, mapped)
        self._buffers = Buffers(self.device, plan, self.arena, slots)
        self.slots = self._buffers.slots
        self.lanes = tuple(self.device.new_stream(priority) for _ in range(self.ways.lanes))
        self.uploads = Uploader(self.device, self.slots, self.device.new_stream(priority))
        results = tuple(buffer for buffer in plan.of_role("result") if buffer.name != STATUS)
        self.downloads = Downloader(self.device, results, self.device.new_stream(priority), self._buffers.bound)
        self.launching = threading.Lock()
        self.binder = Binder(self.device, plan, self.ways, engines, self._buffers, self.lanes)
        self.binder.bind()
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
        return frozenset(self._buffers.bound)

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
            self.uploads.upload(self.slots[0], {name: array})
            self.slots[0].ready.synchronize()
            return
        self.lanes[0].synchronize()
        self._buffers.memory(name, 0).write(array)
        self.device.synchronize()

    def read(self, name: str, slot: int = 0) -> npt.NDArray[Any]:
        """The content of a buffer on the host, after every step so far; on the CPU a view, valid until the next one."""
        self.lanes[0].synchronize()
        self.uploads.stream.synchronize()
        return self._buffers.memory(name, slot).read()

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
        bound = self._buffers.bound
        before = bound.get(name)
        bound[name] = view
        try:
            self.binder.bind()
        except BackendError:
            if before is None:
                del bound[name]
            else:
                bound[name] = before
            self.binder.bind()
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
        return self._buffers.view(name, slot)

    def _capture(self, wanted: GraphForm) -> None:
        programs = [program for slot in self.slots for program in slot.programs]
        self.graph_form, notes = capture_all(programs, wanted)
        self.notes += notes
        for note in notes:
            _LOG.warning(note)
