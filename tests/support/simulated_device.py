"""A device that runs nothing until it is waited for, and then in any order that its streams and events allow.

What it runs are NumPy functions whose results depend on every byte they read, so that an ordering that is missing shows as wrong bits.
"""

from __future__ import annotations

import ctypes
import random
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.device import Block, Place
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.host_device import HostDevice
from videoscene_rt.engines.kernels.watch import watch_signature
from videoscene_rt.engines.memory import HostMemory
from videoscene_rt.engines.specs import Signature

REFUSED = "the work cannot be captured: it may not"


@dataclass
class Work:
    """Something on a stream: a function, or an event to wait for or to mark; an event counts how often it was recorded."""

    kind: str
    function: Callable[[], None] | None = None
    event: SimulatedEvent | None = None
    count: int = 0


class SimulatedEvent:
    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device
        self.handle = device.register(self)
        self.recorded = 0
        self.reached = 0

    @property
    def done(self) -> bool:
        return self.reached >= self.recorded

    def synchronize(self) -> None:
        wanted = self.recorded
        self._device.advance(lambda: self.reached >= wanted)


class SimulatedStream:
    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device
        self.handle = device.register(self)
        self.queue: deque[Work] = deque()
        self.destroyed = False

    def destroy(self) -> None:
        """What it has still runs; who names it afterwards crashes, as with the driver."""
        self.destroyed = True

    def push(self, function: Callable[[], None]) -> None:
        self._device.put(self, Work("run", function))

    def record(self, event: SimulatedEvent | None = None) -> SimulatedEvent:
        event = event or SimulatedEvent(self._device)
        self._device.put_record(self, event)
        return event

    mark = record

    def wait(self, event: SimulatedEvent) -> None:
        self._device.put_wait(self, event)

    def synchronize(self) -> None:
        self._device.advance(lambda: not self.queue)


@dataclass
class Captured:
    """What was put onto streams while a capture ran, with the events of the graph's own."""

    origin: SimulatedStream
    log: list[tuple[SimulatedStream, str, Any]] = field(default_factory=list)
    joined: set[int] = field(default_factory=set)


class SimulatedDevice(HostDevice):
    """See the module.

    Args:
        seed: of the order.
        capturable: whether a capture works.
        refused: a form of graph that it does not take.
    """

    captures = True
    unified = False
    name = "a simulated device"

    def __init__(self, seed: int = 0, capturable: bool = True, refused: str = "") -> None:
        self._random = random.Random(seed)
        self._things: dict[int, Any] = {}
        self._capturable = capturable
        self._refused = refused
        self.forms: list[str] = []
        self._capturing: Captured | None = None
        self.captured = 0

    def register(self, thing: Any) -> int:
        handle = 1000 + len(self._things)
        self._things[handle] = thing
        return handle

    def stream_of(self, handle: int) -> SimulatedStream:
        assert not self._things[handle].destroyed, "a destroyed stream was touched: the driver would crash"
        return self._things[handle]

    def block(self, nbytes: int, place: Place = "device") -> Block:
        found = super().block(nbytes)
        return Block(found.pointer, nbytes, found.owner, None if place == "device" else found.host_pointer)

    def memory(self, dtype: str, shape: tuple[int, ...], block: Block, offset: int = 0) -> HostMemory:
        return super().memory(dtype, shape, block, offset)

    def new_stream(self, priority: int = 0) -> SimulatedStream:  # type: ignore[override]
        return SimulatedStream(self)

    def event(self, timing: bool = False) -> SimulatedEvent:  # type: ignore[override]
        return SimulatedEvent(self)

    def elapsed_ms(self, begin: Any, end: Any) -> float:
        assert begin.done
        assert end.done
        return 1.0

    def record(self, handle: int, event: Any) -> None:
        self.stream_of(handle).record(event)

    def order(self, handle: int, before: int) -> None:
        self.stream_of(before).wait(self.stream_of(handle).record())

    def copy(self, target: int, source: int, nbytes: int, stream: Any) -> None:
        stream.push(lambda: ctypes.memmove(target, source, nbytes) and None)

    def synchronize(self) -> None:
        self.advance(lambda: False, until_idle=True)

    def put(self, stream: SimulatedStream, work: Work) -> None:
        if self._capturing is not None:
            self._capturing.log.append((stream, "run", work.function))
        else:
            stream.queue.append(work)

    def put_record(self, stream: SimulatedStream, event: SimulatedEvent) -> None:
        if self._capturing is not None:
            self._capturing.log.append((stream, "record", event))
            return
        event.recorded += 1
        stream.queue.append(Work("record", event=event, count=event.recorded))

    def put_wait(self, stream: SimulatedStream, event: SimulatedEvent) -> None:
        if self._capturing is not None:
            self._capturing.log.append((stream, "wait", event))
            return
        stream.queue.append(Work("wait", event=event, count=event.recorded))

    def capture(self, stream: Any, enqueue: Callable[[], None], form: str = "plain") -> Callable[[Any], None]:
        if not self._capturable or form == self._refused:
            raise BackendError(REFUSED)
        self._capturing = captured = Captured(stream)
        try:
            enqueue()
        finally:
            self._capturing = None
        self.captured += 1
        self.forms.append(form)
        _check_joined(captured)
        return lambda onto: onto.push(lambda: self._replay(captured))

    def advance(self, enough: Callable[[], bool], until_idle: bool = False) -> None:
        """Run work, one piece at a time from a stream chosen at random, until something is so."""
        while not enough():
            ready = [s for s in list(self._things.values()) if isinstance(s, SimulatedStream) and _runnable(s)]
            if not ready:
                assert until_idle, "the streams wait for one another"
                return
            _run_one(self._random.choice(ready))

    def _replay(self, captured: Captured) -> None:
        """Run a graph in any order that its edges allow."""
        inner = SimulatedDevice(self._random.randrange(2**32))
        streams: dict[int, SimulatedStream] = {}
        events: dict[int, SimulatedEvent] = {}
        for stream, kind, what in captured.log:
            place = streams.setdefault(stream.handle, SimulatedStream(inner))
            if kind == "run":
                place.push(what)
            else:
                event = events.setdefault(what.handle, SimulatedEvent(inner))
                place.record(event) if kind == "record" else place.wait(event)
        inner.synchronize()


def _check_joined(captured: Captured) -> None:
    """Every stream that was forked to was joined again: the last thing on it is an event that another waits for."""
    tails = {stream.handle: (kind, what) for stream, kind, what in captured.log if stream is not captured.origin}
    waited = [what for _, kind, what in captured.log if kind == "wait"]
    for kind, what in tails.values():
        if kind != "record" or what not in waited:
            raise BackendError("a stream was not joined before the capture ended")


def _runnable(stream: SimulatedStream) -> bool:
    if not stream.queue:
        return False
    work = stream.queue[0]
    return work.kind != "wait" or (work.event is not None and work.event.reached >= work.count)


def _run_one(stream: SimulatedStream) -> None:
    work = stream.queue[0]
    if work.kind == "run" and work.function is not None:
        work.function()
    if work.kind == "record" and work.event is not None:
        work.event.reached = max(work.event.reached, work.count)
    stream.queue.popleft()


class HashEngine:
    """An engine whose outputs depend on every byte of its inputs and on its name."""

    def __init__(self, spec: Signature, device: SimulatedDevice | None = None, scratch_bytes: int = 0) -> None:
        self.spec = spec
        self.scratch_bytes = scratch_bytes
        self._device = device

    def context(self, scratch: int | None = None) -> HashContext:
        return HashContext(self, self._device, scratch)


class HashContext:
    def __init__(self, engine: HashEngine, device: SimulatedDevice | None, scratch: int | None) -> None:
        self._engine = engine
        self._device = device
        self._scratch = scratch
        self._views: dict[str, TensorView] = {}

    def bind(self, name: str, view: TensorView) -> None:
        tensor = {t.name: t for t in (*self._engine.spec.inputs, *self._engine.spec.outputs)}[name]
        assert (view.dtype, view.shape) == (tensor.dtype, tensor.shape)
        self._views[name] = view

    def enqueue(self, stream: int | None = None) -> None:
        if self._device is None:
            self._begin()
            self._end()
            return
        place = self._device.stream_of(stream or 0)
        # Two pieces, so that another stream may run in between.
        place.push(self._begin)
        place.push(self._end)

    def _begin(self) -> None:
        spec = self._engine.spec
        key = zlib.crc32(spec.name.encode())
        points = int(self._views["num_points"].owner[0]) if "num_points" in self._views else None
        for tensor in spec.inputs:
            # As the renderer has it: rows from num_points on are not read.
            array = self._views[tensor.name].owner[: points if tensor.name in ("xyz", "rgb") else None]
            key = zlib.crc32(np.ascontiguousarray(array).tobytes(), key)
        self._key = key
        if self._scratch is not None and self._engine.scratch_bytes:
            _scratch(self._scratch, self._engine.scratch_bytes)[:] = key % 251

    def _end(self) -> None:
        key = self._key
        if self._scratch is not None and self._engine.scratch_bytes:
            key = zlib.crc32(_scratch(self._scratch, self._engine.scratch_bytes).tobytes(), key)
        draw = np.random.default_rng(key)
        for tensor in self._engine.spec.outputs:
            target = self._views[tensor.name].owner
            if self._engine.spec.name == "watch":
                target[...] = (0, self._views["timestep"].owner[0])
            else:
                target[...] = draw.integers(0, 200, tensor.shape).astype(tensor.dtype)


def _scratch(pointer: int, nbytes: int) -> np.ndarray:
    return np.frombuffer((ctypes.c_uint8 * nbytes).from_address(pointer), np.uint8)


class HashBackend:
    """Every graph of a bundle as a `HashEngine`; at once on the host without a device, else on the simulated one."""

    name = "hash"
    device = "cpu"
    versions: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, device: SimulatedDevice | None, scratch: dict[str, int] | None = None) -> None:
        self._simulated = device
        self.runs_on = HostDevice() if device is None else device
        self._scratch = scratch or {}

    def load(self, bundle: Bundle, graph: str) -> HashEngine:
        # Both have the same scratch, so that the same bits come out.
        return HashEngine(bundle.graph(graph), self._simulated, self._scratch.get(graph, 0))

    def watch(self, device: Any, latent_shape: tuple[int, ...]) -> HashEngine:
        return HashEngine(watch_signature(latent_shape), self._simulated)

    def synchronize(self) -> None:
        self.runs_on.synchronize()

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> HostMemory:
        return HostMemory(dtype, shape)
