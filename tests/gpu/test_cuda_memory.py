"""Device memory does what host memory does."""

from __future__ import annotations

import numpy as np
import pytest

from videoscene_rt import BackendError
from videoscene_rt.engines.cuda.device import CudaDevice

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32"])
def test_it_is_zero_and_gives_back_what_was_written(cuda: CudaDevice, dtype: str) -> None:
    memory = cuda.allocate(dtype, (5, 3, 7))
    assert np.array_equal(memory.read(), np.zeros((5, 3, 7), dtype))
    array = (np.random.default_rng(0).random((5, 3, 7)) * 100).astype(dtype)
    memory.write(array)
    assert np.array_equal(memory.read(), array)
    memory.write(array[:2] + 1)
    assert np.array_equal(memory.read(), np.concatenate([array[:2] + 1, array[2:]]))


def test_the_array_may_change_as_soon_as_write_returns(cuda: CudaDevice) -> None:
    memory = cuda.allocate("float32", (1 << 22,))
    array = np.ones(1 << 22, np.float32)
    memory.write(array)
    array[...] = 2
    assert memory.read().min() == memory.read().max() == 1


def test_a_view_is_a_part_of_it(cuda: CudaDevice) -> None:
    memory = cuda.allocate("float32", (4, 8))
    view = memory.view((slice(1, 3),))
    assert (view.pointer, view.shape, view.dtype, view.device) == (memory.pointer + 32, (2, 8), "float32", "cuda")
    with pytest.raises(ValueError, match="no contiguous part"):
        memory.view((slice(None), slice(1, 3)))


def test_what_does_not_fit(cuda: CudaDevice) -> None:
    memory = cuda.allocate("float32", (4, 8))
    for shape in ((5, 8), (4, 7), (4,), (4, 8, 1)):
        with pytest.raises(ValueError, match="does not go into"):
            memory.write(np.zeros(shape, np.float32))
    with pytest.raises(BackendError, match="MiB left"):
        cuda.allocate("uint8", (1 << 42,))
    assert cuda.allocate("uint8", (16,)).read().size == 16, "a refused allocation does no harm"


def test_it_says_what_it_is(cuda: CudaDevice) -> None:
    assert cuda.name
    assert [part.isdigit() for part in cuda.compute_capability.split(".")] == [True, True]
    assert float(cuda.cuda_version) >= 11
