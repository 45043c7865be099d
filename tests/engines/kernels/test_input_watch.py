"""The watch over inputs on the device, over a stand-in for the driver that does on the host what each launch asks for."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from videoscene_rt.engines.host_device import HostDevice
from videoscene_rt.engines.kernels import compile as compile_module
from videoscene_rt.engines.kernels.input_watch import InputWatch

SHAPES = {"xyz": (5000, 3), "world_to_camera": (9, 4, 4), "intrinsics": (9, 3, 3)}


class WatchingDevice:
    """As much of a CUDA device as the watch uses; a launch reads its arguments as the kernel would."""

    def __init__(self) -> None:
        self.name, self.used = "host", 0
        success = SimpleNamespace(name="CUDA_SUCCESS")
        self.driver = SimpleNamespace(CUresult=SimpleNamespace(CUDA_SUCCESS=success), cuLaunchKernel=self._launch)
        self.launched: list[tuple[int, int, int]] = []

    def use(self) -> None:
        self.used += 1

    def synchronize(self) -> None:
        """Everything has run."""

    def block(self, nbytes: int, place: str) -> Any:
        assert place == "mapped"
        return HostDevice().block(nbytes)

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> Any:
        block = HostDevice().block(int(np.prod(shape)) * 4)
        return SimpleNamespace(pointer=block.pointer, owner=block.owner)

    def _launch(self, function: int, blocks: int, *call: Any) -> tuple[Any]:
        _, _, threads, _, _, shared, stream, pointers, extra = call
        assert (function, shared, extra) == (11, 0, 0)
        kinds = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        places = (ctypes.c_void_p * len(kinds)).from_address(pointers)
        values, count, beside, status, state = (
            kind.from_address(place or 0).value for kind, place in zip(kinds, places, strict=True)
        )
        assert np.frombuffer((ctypes.c_uint32 * 2).from_address(state), np.uint32).tolist() == [0, 0]
        found = np.frombuffer((ctypes.c_float * (count or 0)).from_address(values), np.float32)
        out = np.frombuffer((ctypes.c_int32 * 2).from_address(status), np.int32)
        out[:] = np.count_nonzero(~np.isfinite(found)), ctypes.c_int32.from_address(beside).value
        self.launched.append((blocks, threads, stream))
        return (self.driver.CUresult.CUDA_SUCCESS,)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> WatchingDevice:
    monkeypatch.setattr(compile_module, "load_kernels", lambda device, file, names: {names[0]: 11})
    return WatchingDevice()


def test_each_input_of_each_slot_has_a_count_of_its_own(device: WatchingDevice) -> None:
    watch = InputWatch(device, SHAPES, 2)  # type: ignore[arg-type]
    assert tuple(watch.names) == tuple(SHAPES)
    arrays = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    arrays["xyz"][[3, 4000], 1] = np.nan, np.inf
    arrays["intrinsics"][2, 2, 2] = -np.inf
    for name, array in arrays.items():
        watch.enqueue(1, name, array.ctypes.data, array.size, 99)
    assert watch.found(1) == {"xyz": 2, "intrinsics": 1}
    assert watch.found(0) == {}
    watch.enqueue(0, "xyz", arrays["xyz"].ctypes.data, 4000 * 3, 99)  # the rows that are read
    assert watch.found(0) == {"xyz": 1}
    watch.clear(1)
    assert (watch.found(1), watch.found(0)) == ({}, {"xyz": 1})
    assert {stream for _, _, stream in device.launched} == {99}
    assert all(blocks >= 1 for blocks, _, _ in device.launched)
    assert device.used == len(device.launched)
