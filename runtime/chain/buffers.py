"""A chain's memory as it was allocated: where each buffer of the plan lies, in the arena or in memory that the user bound."""

from __future__ import annotations

from videoscene_rt.chain.arena import ArenaPlan
from videoscene_rt.chain.description import ChainPlan
from videoscene_rt.chain.slots import Slot
from videoscene_rt.engines.device import Block, Device, Place
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.memory import Memory
from videoscene_rt.engines.slices import Index, part_of

_PLACES: tuple[Place, ...] = ("device", "mapped")


class Buffers:
    """The blocks of an arena, and the buffers in them.

    Args:
        device: whose memory.
        plan: the buffers.
        arena: where they lie.
        slots: how many sets of inputs and results it has.

    Raises:
        BackendError: there is not enough memory: it says what needs how much.

    Attributes:
        slots: with the buffers of each.
        bound: the user's own memory, by the buffer in whose place it is.
    """

    def __init__(self, device: Device, plan: ChainPlan, arena: ArenaPlan, slots: int) -> None:
        self.bound: dict[str, TensorView] = {}
        self._arena = arena
        self._blocks = _allocated(device, arena)
        self._shared: dict[str, Memory] = {
            buffer.name: device.memory(
                buffer.dtype, buffer.shape, self._blocks["device"], arena.region(buffer.name).offset
            )
            for buffer in plan.of_role("constant", "inner", "cache")
        }
        per_slot = plan.of_role("input", "result")
        most = max((len(way.parts) for way in plan.ways), default=0)
        self.slots = tuple(Slot(number, device, arena, self._blocks, per_slot, most) for number in range(slots))

    def memory(self, name: str, slot: int) -> Memory:
        """The arena's memory of a buffer; of an input or a result, a slot's."""
        if name in self._shared:
            return self._shared[name]
        place = self.slots[slot]
        return place.inputs[name].memory if name in place.inputs else place.results[name]

    def view(self, name: str, slot: int, index: Index = ()) -> TensorView:
        """Where a buffer, or a contiguous part of it, is read and written: the user's memory if some is bound."""
        bound = self.bound.get(name)
        return self.memory(name, slot).view(index) if bound is None else part_of(bound, index)

    def scratch(self, stage: str) -> int | None:
        """Where a stage's engine has its scratch; None if it needs none."""
        region = self._arena.scratch(stage)
        return None if region is None else self._blocks["device"].pointer + region.offset


def _allocated(device: Device, arena: ArenaPlan) -> dict[Place, Block]:
    try:
        return {place: device.block(arena.size(place), place) for place in _PLACES}
    except BackendError as error:
        free = device.free_bytes()
        left = "" if free is None else f"; {free / 2**20:.0f} MiB are free"
        raise BackendError(
            f"the chain needs {arena.nbytes / 2**20:.0f} MiB on {device.name}: {arena.words()}{left}",
            "use a smaller preset, slots=1, or end what else uses the device",
        ) from error
