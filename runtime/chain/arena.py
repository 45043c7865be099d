"""The chain's memory, planned before anything is allocated: where every buffer and every engine's scratch lies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from videoscene_rt.chain.description import STATUS, ChainPlan
from videoscene_rt.engines.device import ALIGNMENT, Place

RegionRole = Literal["input", "constant", "inner", "cache", "result", "scratch"]
_PASSING = ("cache", "scratch")
"""Roles whose memory is somebody else's where the schedule puts one before the other."""


class Order(Protocol):
    """What a schedule says, or those of several ways through the chain (`videoscene_rt.chain.ways.Ways`)."""

    def apart(self, some: Iterable[str], others: Iterable[str]) -> bool:
        """Whether every one of some stages is done before any of the others begins, or the other way round."""


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
        """Bytes of each role. Caches count what they take together, not their sum; scratch what it takes beyond that."""
        sizes: dict[str, int] = {}
        for region in self.regions:
            if region.role not in _PASSING:
                sizes[region.role] = sizes.get(region.role, 0) + region.nbytes
        passing = [region for region in self.regions if region.role in _PASSING]
        end = min((region.offset for region in passing), default=0)
        for role in _PASSING:
            ends = [region.offset + region.nbytes for region in passing if region.role == role]
            if ends:
                sizes[role] = max(*ends, end) - end
                end = max(*ends, end)
        return sizes

    def words(self) -> str:
        """One line for an error message: what needs how much."""
        parts = [f"{role} {nbytes / 2**20:.1f} MiB" for role, nbytes in self.by_role().items()]
        largest = max(self.regions, key=lambda region: region.nbytes)
        return f"{', '.join(parts)}; the largest is {largest.name} ({largest.nbytes / 2**20:.1f} MiB)"


def plan_arena(
    plan: ChainPlan,
    schedule: Order,
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
        if buffer.role == "cache":
            continue
        if buffer.role in ("constant", "inner"):
            put(buffer.name, buffer.role, None, "device", buffer.nbytes)
            continue
        place: Place = "mapped" if mapped or buffer.name == STATUS else "device"
        for slot in range(slots):
            put(buffer.name, buffer.role, slot, place, buffer.nbytes)
    for passing, offset in _lay(schedule, _passing(plan, scratch)):
        size = _aligned(passing.nbytes)
        regions.append(Region(passing.name, passing.role, None, "device", ends["device"] + offset, size))
    return ArenaPlan(tuple(regions))


@dataclass(frozen=True)
class _Passing:
    """Memory that holds something from the first of some stages to the last of them, and nothing before and after."""

    name: str
    role: RegionRole
    nbytes: int
    stages: frozenset[str]


def _passing(plan: ChainPlan, scratch: Mapping[str, int]) -> list[_Passing]:
    users: dict[str, set[str]] = {}
    for stage in plan.every_stage:
        for part in stage.bindings.values():
            users.setdefault(part.buffer, set()).add(stage.name)
    caches = [
        _Passing(buffer.name, "cache", buffer.nbytes, frozenset(users.get(buffer.name, ())))
        for buffer in plan.of_role("cache")
    ]
    needed = [stage.name for stage in plan.every_stage if scratch.get(stage.name)]
    return [*caches, *(_Passing(stage, "scratch", scratch[stage], frozenset((stage,))) for stage in needed)]


def _lay(schedule: Order, items: list[_Passing]) -> list[tuple[_Passing, int]]:
    """Caches and scratch with their offsets: the largest first, each at the lowest one where nothing lies that is needed with it."""
    laid: list[tuple[_Passing, int]] = []
    for item in sorted(items, key=lambda item: -item.nbytes):
        beside = sorted(
            (offset, offset + _aligned(other.nbytes))
            for other, offset in laid
            if not schedule.apart(item.stages, other.stages)
        )
        offset = 0
        for begin, end in beside:
            if offset + _aligned(item.nbytes) <= begin:
                break
            offset = max(offset, end)
        laid.append((item, offset))
    return laid


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
