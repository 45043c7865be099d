"""A GPU's own rates: a copy within its memory, and kernels that do nothing but multiply and add."""

from __future__ import annotations

import ctypes
from importlib import resources
from typing import TYPE_CHECKING, Any

from videoscene_rt.bench.roofline.facts import Rates

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice

_COPY_BYTES, _REPEATS = 512 << 20, 10
_THREADS, _BLOCKS_PER_PROCESSOR, _WARP = 256, 4, 32
_SUMS = 8
_TURNS = {"fp32": 20_000, "fp16": 10_000, "int8": 10_000}
_PER_WARP = {"fp32": 2 * _WARP, "fp16": 2 * 16 * 8 * 16, "int8": 2 * 16 * 8 * 32}
"""Operations of a warp for one sum and turn: a multiplication and an addition a thread; a matrix of 16×8 sums of 16 or 32 products."""
_MATRIX_CAPABILITY = 8.0


def gpu_rates(device: CudaDevice) -> Rates:
    """Measure a GPU: the best of a few.

    Raises:
        BackendError: NVRTC is missing, or there is not enough memory for the copy.
    """
    code = compile_rates(device.compute_capability)
    module = device.call("cuModuleLoadData", code)
    names = ("fp32", "fp16", "int8") if float(device.compute_capability) >= _MATRIX_CAPABILITY else ("fp32",)
    rates = {name: _matrix_rate(device, module, name) for name in names}
    device.call("cuModuleUnload", module)
    return Rates(
        device=device.name,
        bytes_per_s=_copy_rate(device),
        operations_per_s=rates,
        how=f"measured: a copy of {_COPY_BYTES >> 20} MiB in its memory; FMA, and mma.sync on matrix units (newer ones may go faster)",
    )


def compile_rates(compute_capability: str) -> bytes:
    """Machine code of rates.cu; needs no GPU.

    Raises:
        BackendError: NVRTC is missing.
    """
    from videoscene_rt.engines.kernels.compile import compile_cubin

    source = resources.files("videoscene_rt.bench.roofline").joinpath("rates.cu").read_bytes()
    return compile_cubin(source, "rates.cu", compute_capability)


def _matrix_rate(device: CudaDevice, module: Any, name: str) -> float:
    function = int(device.call("cuModuleGetFunction", module, f"{name}_rate".encode()))
    attribute = device.driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
    blocks = int(device.call("cuDeviceGetAttribute", attribute, device.index)) * _BLOCKS_PER_PROCESSOR
    out = device.block(_THREADS * 4)
    turns = _TURNS[name]
    values = (ctypes.c_int(turns), ctypes.c_void_p(out.pointer))
    pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    stream = device.new_stream()

    def launch() -> None:
        where = (blocks, 1, 1, _THREADS, 1, 1, 0, stream.handle, ctypes.addressof(pointers), 0)
        device.call("cuLaunchKernel", function, *where)

    operations = blocks * (_THREADS // _WARP) * turns * _SUMS * _PER_WARP[name]
    return operations / _best(device, stream, launch)


def _copy_rate(device: CudaDevice) -> float:
    source, target = device.block(_COPY_BYTES), device.block(_COPY_BYTES)
    device.synchronize()
    stream = device.new_stream()
    return (
        2
        * _COPY_BYTES
        / _best(device, stream, lambda: device.copy(target.pointer, source.pointer, _COPY_BYTES, stream))
    )


def _best(device: CudaDevice, stream: Any, work: Any) -> float:
    begin, end = device.event(timing=True), device.event(timing=True)
    found = []
    for _ in range(_REPEATS):
        stream.record(begin)
        work()
        stream.record(end)
        end.synchronize()
        found.append(device.elapsed_ms(begin, end) / 1e3)
    return max(min(found), 1e-9)
