"""Thinning: evenly spaced, deterministic, never more than asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes import thin


@given(count=st.integers(1, 3000), limit=st.integers(1, 3500))
def test_thinning_is_even(count: int, limit: int) -> None:
    xyz = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    rgb = (np.arange(3 * count) % 251).astype(np.uint8).reshape(count, 3)
    kept, colours = thin(xyz, rgb, limit)
    assert len(kept) == len(colours) == min(count, limit)
    rows = (kept[:, 0] / 3).astype(int)
    assert np.array_equal(colours, rgb[rows])
    if limit < count:
        gaps = np.diff([*rows, count])
        assert gaps.min() >= count // limit
        assert gaps.max() <= -(-count // limit)


def test_a_small_cloud_is_not_copied() -> None:
    xyz, rgb = np.zeros((5, 3), np.float32), np.zeros((5, 3), np.uint8)
    assert thin(xyz, rgb, 5)[0] is xyz


def test_no_points_cannot_be_asked_for() -> None:
    with pytest.raises(InputError, match="max_points: 0"):
        thin(np.zeros((5, 3), np.float32), np.zeros((5, 3), np.uint8), 0)
