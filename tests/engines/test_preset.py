"""Presets hold only numbers that a manifest can say."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from tests.support.presets import PUBLISHED, SMALL
from videoscene_rt.engines.preset import Preset


@pytest.mark.parametrize(
    ("group", "field"), [("renderer", "near"), ("schedule", "snr_shift"), ("autoencoder", "scaling_factor")]
)
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0.0, -1.0])
def test_a_number_must_be_finite_and_positive(group: str, field: str, value: float) -> None:
    data = PUBLISHED.model_dump()
    data[group][field] = value
    with pytest.raises(ValidationError, match=field):
        Preset.model_validate(data)


@pytest.mark.parametrize(("near", "fits"), [(32767.0, True), (32768.0, False), (1e30, False)])
def test_the_near_plane_is_nearer_than_the_farthest_depth(near: float, fits: bool) -> None:
    data = SMALL.model_dump()
    data["renderer"]["near"] = near
    if fits:
        assert Preset.model_validate(data).renderer.near == near
    else:
        with pytest.raises(ValidationError, match="near"):
            Preset.model_validate(data)
