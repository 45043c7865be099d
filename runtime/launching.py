"""Putting a step onto a chain, without waiting where somebody else can: a device, or a thread."""

from __future__ import annotations

from collections.abc import Callable

from videoscene_rt.chain.chain import Chain
from videoscene_rt.runs import DeviceRun, HostRun
from videoscene_rt.split_run import SplitRun
from videoscene_rt.stream_runs import DeviceStreamRun, HostStreamRun
from videoscene_rt.worker import Worker

AnyRun = DeviceRun | HostRun | SplitRun
"""A step under way; those with a deadline are launched by `videoscene_rt.deadline.Deadlines`."""


def launch_step(
    chain: Chain, worker: Worker, slot: int, way: str | None, settle: Callable[[], None] | None
) -> DeviceRun | HostRun:
    """Launch a slot's step; see `Chain.launch`.

    Args:
        chain, slot, way: what runs.
        worker: runs in order, where the host is the device, what was submitted; and on a device what is not captured, if it is streamed.
        settle: waits for what was submitted before; where the host is the device, a whole step then runs here and now. None leaves it to
            the worker.

    Returns:
        The step under way; a `StreamRun` if its way has chunks.
    """
    if way is not None and len(chain.plan.way(way).parts) > 1:
        if chain.device.captures:
            return DeviceStreamRun(worker, chain, slot, way)
        return HostStreamRun(worker, chain, slot, way)
    if chain.device.captures:
        chain.launch(slot, way)
        return DeviceRun(chain, slot)
    if settle is not None:
        settle()
        return HostRun.ended(chain.launch(slot, way))
    return HostRun(worker.submit(chain.launch, slot, way))
