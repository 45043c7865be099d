"""The watch on the CPU; tests/gpu/test_watch.py has the kernel."""

from __future__ import annotations

import numpy as np
import pytest

from videoscene_rt import BackendError
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.host_device import HostDevice
from videoscene_rt.engines.kernels.watch import watch_engine

SHAPE = (1, 3, 16, 2, 3)


@pytest.mark.parametrize("bad", [(), (0,), (287,), (0, 1, 100, 286)])
def test_it_counts_what_is_not_finite(bad: tuple[int, ...]) -> None:
    latents = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    latents.flat[:3] = 3.4e38, 1e-45, -0.0
    latents.flat[list(bad)] = [(np.nan, np.inf, -np.inf)[i % 3] for i in range(len(bad))]
    status = np.full(2, -1, np.int32)
    context = watch_engine(HostDevice(), SHAPE).context()
    context.bind("z_0", TensorView.of_numpy(latents))
    context.bind("timestep", TensorView.of_numpy(np.array([459], np.int32)))
    context.bind("status", TensorView.of_numpy(status))
    for _ in range(2):
        context.enqueue()
        assert status.tolist() == [len(bad), 459]
        latents.flat[list(bad)] = np.nan


def test_it_wants_everything_bound_as_it_says() -> None:
    engine = watch_engine(HostDevice(), SHAPE)
    assert (engine.scratch_bytes, engine.spec.name) == (0, "watch")
    context = engine.context()
    context.bind("z_0", TensorView.of_numpy(np.zeros(SHAPE, np.float32)))
    with pytest.raises(BackendError, match="not bound: timestep, status"):
        context.enqueue()
    with pytest.raises(BackendError, match=r"wants status: int32\[2\] on cpu, not int32\[3\] on cpu"):
        context.bind("status", TensorView.of_numpy(np.zeros(3, np.int32)))
    with pytest.raises(BackendError, match="no input or output 'reward'"):
        context.bind("reward", TensorView.of_numpy(np.zeros(3, np.int32)))
