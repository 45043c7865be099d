"""The figures of the machine are of the GPU that does the work: another one than nvidia-smi's first, where CUDA shows another one first."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from videoscene_rt.bench import surroundings, which_gpu
from videoscene_rt.bench.beside import nvidia_smi
from videoscene_rt.bench.beside.nvml import EnergyCounter

UUIDS = ("GPU-00010203-0405-0607-0809-0a0b0c0d0e0f", "GPU-6b1f0e2d-9a3c-4f5b-8d7e-112233445566")
SMI = f"""#!/bin/sh
case "$*" in
*index,uuid*) echo "0, {UUIDS[1].upper()}"; echo "1, {UUIDS[0]}" ;;
*--id=1*) echo "1410, 1593, 61, 350.5, 400.00, 0x0000000000000000" ;;
*--id=0*) echo "210, 405, 30, 20.0, 700.00, 0x0000000000000001" ;;
*) echo "NVIDIA H100, 570.1, 81559, 9.0"; echo "NVIDIA A100, 570.1, 40960, 8.0" ;;
esac
"""


class Driver:
    """Stands for libcuda: its first device has the bytes 0 … 15."""

    def __init__(self, status: int = 0) -> None:
        self.status = status

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: N802
        return self.status

    def cuDeviceGetUuid_v2(self, found: Any, device: Any) -> int:  # noqa: N802
        found[:] = range(16)
        return 0


class Nvml:
    """Stands for libnvidia-ml: the GPU's number is its joules."""

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number: int, device: Any) -> int:  # noqa: N802
        self.number = number
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, device: Any, found: Any) -> int:  # noqa: N802
        ctypes.cast(found, ctypes.POINTER(ctypes.c_ulonglong)).contents.value = self.number * 1000
        return 0


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose second GPU is CUDA's first."""
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(which_gpu, "cuda_uuid", lambda: UUIDS[0])
    which_gpu.which_gpu.cache_clear()
    yield
    which_gpu.which_gpu.cache_clear()


def test_everything_is_asked_of_the_gpu_that_does_the_work(second: None) -> None:
    assert which_gpu.which_gpu() == 1
    assert "--id=1" in nvidia_smi.command(250)
    assert EnergyCounter(lambda name: Nvml()).joules() == 1
    facts, state = surroundings.gpu(), surroundings.gpu_state()
    assert facts is not None
    assert (facts.name, facts.memory_mib, facts.count) == ("NVIDIA A100", 40960, 2)
    assert state is not None
    assert (state.sm_clock_mhz, state.power_w) == (1410, 350.5)


def test_the_driver_says_which_it_is() -> None:
    assert which_gpu.cuda_uuid(lambda name: Driver()) == UUIDS[0]
    assert which_gpu.cuda_uuid(lambda name: Driver(status=101)) is None
    assert which_gpu.cuda_uuid(lambda name: object()) is None


@pytest.mark.parametrize("listed", ["", "No devices were found", f"0, {UUIDS[1]}", f"x, {UUIDS[0]}", ","])
def test_it_is_the_first_where_nobody_says(listed: str) -> None:
    assert which_gpu.number_of(UUIDS[0], listed) == 0
    assert which_gpu.number_of(None, f"0, {UUIDS[1]}\n1, {UUIDS[0]}") == 0
