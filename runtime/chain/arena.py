"""The chain's memory, planned before anything is allocated: where every buffer and every engine's scratch lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from videoscene_rt.chain.description import STATUS, ChainPlan
from videoscene_rt.chain.schedule import Schedule
from videoscene_rt.engines.device import ALIGNMENT, Place

RegionRole = Literal["input", "constant", "inner", "result", "scratch"]


@dataclass(frozen=True)
class Region:
    """A piece of one of the arenas.

    Attributes:
        name: of the buffer, or of the stage whose scratch it is.
        role: see `videoscene_rt.chain.description.Role`; or "scratch".
        slot: which slot's; None for what the slots share.
        place: which arena it lies in.
        offset, nbytes: bytes from the beginning of the arena, and its size.
    """

    name: str
    role: RegionRole
    slot: int | None
    place: Place
    offset: int
    nbytes: int


@dataclass(frozen=True)
class ArenaPlan:
    """Every piece of memory of the chain; engines' weights are not in it."""

    regions: tuple[Region, ...]

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return self.size("device")

    def size(self, place: Place) -> int:
        """Bytes of one arena."""
        return max((region.offset + region.nbytes for region in self.regions if region.place == place), default=0)

    def region(self, name: str, slot: int | None = None) -> Region:
        """The region of a buffer; KeyError if there is none."""
        for region in self.regions:
            if region.name == name and region.slot == slot and region.role != "scratch":
                return region
        raise KeyError(name)

    def scratch(self, stage: str) -> Region | None:
        """The scratch of a stage; None if it needs none."""
        return next((region for region in self.regions if region.role == "scratch" and region.name == stage), None)

    def by_role(self) -> dict[str, int]:
        """Bytes of each role; scratch counts what it takes together, not its sum."""
        sizes: dict[str, int] = {}
        scratch = [region for region in self.regions if region.role == "scratch"]
        for region in self.regions:
            if region.role != "scratch":
                sizes[region.role] = sizes.get(region.role, 0) + region.nbytes
        if scratch:
            first = min(region.offset for region in scratch)
            sizes["scratch"] = max(region.offset + region.nbytes for region in scratch) - first
        return sizes

    def words(self) -> str:
        """One line for an error message: what needs how much."""
        parts = [f"{role} {nbytes / 2**20:.1f} MiB" for role, nbytes in self.by_role().items()]
        largest = max(self.regions, key=lambda region: region.nbytes)
        return f"{', '.join(parts)}; the largest is {largest.name} ({largest.nbytes / 2**20:.1f} MiB)"


def plan_arena(
    plan: ChainPlan,
    schedule: Schedule,
    scratch: Mapping[str, int],
    slots: int = 1,
    mapped: bool = False,
) -> ArenaPlan:
    """Lay out the chain's memory.

    Args:
        plan: the buffers.
        schedule: says which stages may overlap.
        scratch: bytes that each stage's engine needs beside its buffers, where it needs any.
        slots: how many sets of inputs and results.
        mapped: inputs and results lie in host memory that the device addresses. The status does in any case.
    """
    regions: list[Region] = []
    ends: dict[Place, int] = {"device": 0, "mapped": 0}

    def put(name: str, role: RegionRole, slot: int | None, place: Place, nbytes: int) -> None:
        regions.append(Region(name, role, slot, place, ends[place], nbytes))
        ends[place] += _aligned(nbytes)

    for buffer in plan.buffers:
        if buffer.role in ("constant", "inner"):
            put(buffer.name, buffer.role, None, "device", buffer.nbytes)
            continue
        place: Place = "mapped" if mapped or buffer.name == STATUS else "device"
        for slot in range(slots):
            put(buffer.name, buffer.role, slot, place, buffer.nbytes)
    for name, offset, nbytes in _lay(schedule, scratch):
        regions.append(Region(name, "scratch", None, "device", ends["device"] + offset, nbytes))
    return ArenaPlan(tuple(regions))


def _lay(schedule: Schedule, scratch: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """Scratch as (stage, offset, bytes): the largest first, each at the lowest offset where nothing lies that may run beside it."""
    laid: list[tuple[str, int, int]] = []
    order = {placed.stage: number for number, placed in enumerate(schedule.placed)}
    for stage in sorted((stage for stage, size in scratch.items() if size), key=lambda s: (-scratch[s], order[s])):
        size = _aligned(scratch[stage])
        beside = sorted((offset, offset + nbytes) for name, offset, nbytes in laid if schedule.overlaps(stage, name))
        offset = 0
        for begin, end in beside:
            if offset + size <= begin:
                break
            offset = max(offset, end)
        laid.append((stage, offset, size))
    return laid


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
