"""The watch's kernel: exact counts, whatever the length, captured, into mapped memory, again and again."""

from __future__ import annotations

import numpy as np
import pytest

from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.engine import Context, TensorView
from videoscene_rt.engines.kernels.watch import watch_engine

pytestmark = pytest.mark.gpu

VALUES = (np.nan, np.inf, -np.inf)


def bound(cuda: CudaDevice, latents: np.ndarray, timestep: int) -> tuple[Context, object, object, object]:
    memory = cuda.allocate("float32", latents.shape)
    memory.write(latents)
    chosen = cuda.allocate("int32", (1,))
    chosen.write(np.array([timestep], np.int32))
    status = cuda.allocate("int32", (2,))
    context = watch_engine(cuda, latents.shape).context()
    context.bind("z_0", memory.view())
    context.bind("timestep", chosen.view())
    context.bind("status", status.view())
    return context, memory, chosen, status


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 127, 4095, 4096, 4097, 82_000, 700_003, 1_123_200])
def test_it_counts_what_is_not_finite(cuda: CudaDevice, length: int) -> None:
    rng = np.random.default_rng(length)
    latents = rng.standard_normal(length).astype(np.float32)
    latents[: min(length, 3)] = (3.4e38, 1e-45, -0.0)[: min(length, 3)]
    for share in (0.0, 1e-3, 1.0):
        bad = latents.copy()
        odd = rng.random(length) < share
        bad[odd] = rng.choice(np.array(VALUES, np.float32), int(odd.sum()))
        context, _, _, status = bound(cuda, bad, 459)
        for _ in range(3):
            context.enqueue()
            assert status.read().tolist() == [int(odd.sum()), 459]  # type: ignore[attr-defined]


def test_the_last_value_counts(cuda: CudaDevice) -> None:
    for length in (1023, 1024, 1025, 1026):
        latents = np.zeros(length, np.float32)
        latents[-1] = np.nan
        context, _, _, status = bound(cuda, latents, 7)
        context.enqueue()
        assert status.read().tolist() == [1, 7]  # type: ignore[attr-defined]


def test_captured_into_mapped_memory(cuda: CudaDevice) -> None:
    """The host reads the status as soon as the stream is done, without a copy."""
    import ctypes

    latents = np.zeros((1, 5, 16, 32, 32), np.float32)
    context, memory, chosen, _ = bound(cuda, latents, 0)
    block = cuda.block(8, "mapped")
    context.bind("status", TensorView(block.pointer, "int32", (2,), "cuda", block.owner))
    assert block.host_pointer is not None
    status = np.frombuffer((ctypes.c_uint8 * 8).from_address(block.host_pointer), np.int32)
    stream = cuda.new_stream()
    context.enqueue(stream.handle)
    stream.synchronize()
    replay = cuda.capture(stream, lambda: context.enqueue(stream.handle))
    for run in range(200):
        latents.flat[:run] = np.inf
        memory.write(latents)  # type: ignore[attr-defined]
        chosen.write(np.array([run], np.int32))  # type: ignore[attr-defined]
        replay(stream)
        stream.synchronize()
        assert status.tolist() == [run, run]
