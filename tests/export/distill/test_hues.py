"""Slopes of brightness and hues against NumPy's least squares."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from videoscene_rt.export.distill.hues import AXES, Hues


def test_slopes_are_those_of_least_squares_over_all_pictures() -> None:
    draw = np.random.default_rng(4)
    clean = draw.integers(0, 256, (6, 20, 3))
    found = np.clip(0.6 * clean + 0.2 * clean[..., [1, 2, 0]] + draw.normal(0, 8, clean.shape), 0, 255).round()
    hues = Hues()
    for part in (slice(0, 2), slice(2, 6)):
        hues.add(*(torch.from_numpy(levels[part].astype(np.uint8)) for levels in (found, clean)))
    axes = {
        AXES[0]: lambda p: p.mean(-1),
        AXES[1]: lambda p: p[..., 0] - p[..., 2],
        AXES[2]: lambda p: p[..., 1] - (p[..., 0] + p[..., 2]) / 2,
    }
    for name, axis in axes.items():
        expected = np.polyfit(axis(clean).ravel(), axis(found).ravel(), 1)[0]
        assert hues.slopes()[name] == pytest.approx(expected, abs=1e-3)


def test_a_picture_without_a_hue_keeps_its_brightness_alone() -> None:
    clean = torch.randint(0, 256, (500, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    grey = clean.float().mean(-1, keepdim=True).round().expand(-1, 3).to(torch.uint8)
    hues = Hues()
    hues.add(grey, clean)
    found = hues.slopes()
    assert found["brightness"] == pytest.approx(1.0, abs=0.01)
    assert found["red against blue"] == 0.0
    assert found["green against magenta"] == 0.0


def test_one_flat_picture_has_no_slope() -> None:
    hues = Hues()
    hues.add(torch.full((4, 3), 9, dtype=torch.uint8), torch.full((4, 3), 7, dtype=torch.uint8))
    assert all(math.isnan(value) for value in hues.slopes().values())
