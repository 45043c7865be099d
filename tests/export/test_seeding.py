"""Seeded weights: the same whatever happened before, different where they should be, of a scale networks live with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from videoscene_rt.export.seeding import seed_weights, seeded_array


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(8, 16, 3), nn.GroupNorm(4, 16), nn.Flatten(), nn.Linear(16, 32), nn.LayerNorm(32))


def seeded(module: nn.Module, seed: int, prefix: str = "") -> dict[str, torch.Tensor]:
    seed_weights(module, seed, prefix)
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_neither_the_global_generator_nor_what_was_built_before_matters():
    torch.manual_seed(1)
    first = seeded(network(), seed=5)
    torch.manual_seed(2)
    other = network()
    state = torch.random.get_rng_state()
    assert equal(first, seeded(other, seed=5))
    assert torch.equal(state, torch.random.get_rng_state())


def test_seed_name_and_prefix_each_change_the_weights():
    first = seeded(network(), seed=5)
    assert not torch.equal(first["0.weight"], seeded(network(), seed=6)["0.weight"])
    assert not torch.equal(first["0.weight"], seeded(network(), seed=5, prefix="other.")["0.weight"])
    assert not np.array_equal(seeded_array("a.weight", (4, 4), 0), seeded_array("b.weight", (4, 4), 0))


def test_scale():
    wide = seeded_array("linear.weight", (400, 900), 0)
    assert wide.std() == pytest.approx(1 / 30, rel=0.02)
    assert abs(wide.mean()) < 1e-3
    assert seeded_array("conv.weight", (64, 16, 3, 3), 0).std() == pytest.approx(1 / 12, rel=0.05)
    weights = seeded(network(), seed=0)
    assert (weights["1.weight"] == 1).all()
    assert (weights["4.weight"] == 1).all()
    assert 0 < weights["3.bias"].abs().max() < 0.1


def test_buffers_stay_and_dtypes_are_kept():
    module = nn.BatchNorm1d(3).half()
    module.running_mean.fill_(7)
    weights = seeded(module, seed=0)
    assert (weights["running_mean"] == 7).all()
    assert weights["bias"].dtype == torch.float16


def test_the_numbers_themselves_are_pinned():
    """Bundles name their weights by seed, so these values may never change."""
    found = seeded_array("student.proj.weight", (2, 2), 0)
    np.testing.assert_allclose(found.ravel(), PINNED, rtol=1e-6)


def test_a_meta_module_is_refused_by_name():
    with torch.device("meta"):
        module = network()
    with pytest.raises(ValueError, match=r"0\.weight"):
        seed_weights(module, 0)


PINNED = [0.29816246, -1.3101133, 0.35782564, 0.97191286]
