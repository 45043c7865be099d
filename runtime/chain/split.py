"""A step in two: rendering on a stream of its own, and what makes more of it on the chain's lanes. For steps with a deadline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.description import Stage
from videoscene_rt.chain.download import Arrays, Downloader
from videoscene_rt.chain.program import Program
from videoscene_rt.chain.schedule import Placed, Schedule
from videoscene_rt.engines.device import Event
from videoscene_rt.engines.engine import Context
from videoscene_rt.engines.errors import BackendError

RENDER = "render"
RENDERED = ("coarse", "depth", "hole_mask")
"""The results that rendering writes."""


def without(schedule: Schedule, stage: str) -> Schedule:
    """A schedule less a stage that waits for nothing: what is ordered otherwise stays so, on the same lanes.

    Raises:
        BackendError: something comes before that stage, so that more than its own waits would go with it.
    """
    gone = next(placed for placed in schedule.placed if placed.stage == stage)
    before = [placed for placed in schedule.placed if placed.lane == gone.lane]
    if gone.waits or before[0] is not gone:
        raise BackendError(f"stage {stage} is not the first of its lane, so a step cannot be taken apart there")
    return Schedule(
        tuple(
            replace(placed, waits=tuple(wait for wait in placed.waits if wait != stage))
            for placed in schedule.placed
            if placed is not gone
        )
    )


class SplitStep:
    """The two halves of every slot's step, bound and captured beside the whole one, over the same buffers.

    Rendering reads a slot's inputs and writes its results; it shares no memory with another slot's step, since its scratch is its
    own. So it runs while an earlier step, however late, still occupies the lanes.

    Args:
        chain: whose.
        priority: of the rendering's stream; None takes the device's highest.

    Raises:
        BackendError: there is not enough memory.

    Attributes:
        rungs: what `refine` can do: one for each decoder of the chain.
        rendered: by slot, the event after rendering.
    """

    def __init__(self, chain: Chain, priority: int | None = None) -> None:
        self._chain = chain
        device = chain.device
        self.stream = device.new_stream(device.priorities[1] if priority is None else priority)
        self._schedules = {name: without(whole, RENDER) for name, whole in chain.step_schedules.items()}
        self.rungs: tuple[str, ...] = tuple(self._schedules)
        self.rendered: tuple[Event, ...] = tuple(device.event(timing=True) for _ in chain.slots)
        render = next(stage for stage in chain.plan.stages if stage.name == RENDER)
        scratch = chain.binder.scratch_bytes(render)
        self._scratch = device.block(scratch) if scratch else None
        results = tuple(chain.plan.buffer(name) for name in RENDERED)
        self._downloader = Downloader(device, results, device.new_stream(), {})
        device.synchronize()
        self._render = [
            Program(device, _alone(render), {RENDER: self._context(render, n)}, (self.stream,)) for n in self._slots
        ]
        self._refine: dict[str, list[Program]] = {
            rung: [Program(device, schedule, self._contexts(schedule, n), chain.lanes) for n in self._slots]
            for rung, schedule in self._schedules.items()
        }
        device.synchronize()
        if chain.graph_form is not None:
            for program in (*self._render, *(each for programs in self._refine.values() for each in programs)):
                program.capture(chain.graph_form)

    def render(self, slot: int) -> dict[str, float]:
        """Put a slot's rendering onto its stream; `rendered` says when it is done, and so does the slot's own event.

        Returns:
            Milliseconds of each stage, where the device runs what it is given at once (the CPU).
        """
        chosen = self._chain.slots[slot]
        self.stream.wait(chosen.ready)
        chosen.readers.order(before=self.stream)
        self.stream.record(chosen.begin)
        times = self._render[slot].launch()
        self.stream.record(self.rendered[slot])
        self.stream.record(chosen.done)
        return times

    def refine(self, slot: int, rung: str) -> dict[str, float]:
        """Put what comes after a slot's rendering onto the lanes; `Slot.done` says when all is done. See `render`."""
        chosen, main = self._chain.slots[slot], self._chain.lanes[0]
        with self._chain.launching:
            main.wait(self.rendered[slot])
            times = self._refine[rung][slot].launch()
            main.record(chosen.done)
        return times

    def download(self, slot: int) -> Arrays:
        """What rendering gave, on the host, as soon as it is done: views, valid until the slot's next step.

        Raises:
            BackendError: the rendering failed.
        """
        return self._downloader.download(self._chain.slots[slot], self.rendered[slot])

    @property
    def _slots(self) -> range:
        return range(len(self._chain.slots))

    def _context(self, stage: Stage, slot: int) -> Context:
        pointer = None if self._scratch is None else self._scratch.pointer
        return self._chain.binder.context(stage, slot, pointer)

    def _contexts(self, schedule: Schedule, slot: int) -> Mapping[str, Context]:
        """Those of the whole steps: a slot's step runs in one of these ways at a time."""
        known = self._chain.slots[slot].program.contexts
        return {placed.stage: known[placed.stage] for placed in schedule.placed}


def _alone(stage: Stage) -> Schedule:
    return Schedule((Placed(stage.name, stage.graph, 0, ()),))
