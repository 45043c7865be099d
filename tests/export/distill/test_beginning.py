"""The autoencoder before its first step: colours go through it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.export.distill.presets import TEENY
from videoscene_rt.engines.preset import TinyAutoencoderSizes
from videoscene_rt.export.distill.autoencoding import decode, encode
from videoscene_rt.export.distill.beginning import begin, begin_at_unit
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder


@pytest.fixture
def clips() -> Tensor:
    """Clips of slowly changing colours, float32[4,9,3,32,48]."""
    draw = torch.Generator().manual_seed(3)
    corners = torch.rand(4, 3, 3, 2, 3, generator=draw).flatten(0, 1)
    frames = functional.interpolate(corners.flatten(0, 1)[:, None], size=(32, 48), mode="bilinear", align_corners=True)
    still = frames.view(4, 3, 3, 32, 48)
    return functional.interpolate(
        still.permute(0, 2, 1, 3, 4), size=(9, 32, 48), mode="trilinear", align_corners=True
    ).permute(0, 2, 1, 3, 4)


@pytest.fixture
def model(clips: Tensor) -> TinyAutoencoder:
    assert TEENY.autoencoder.kind == "tiny"
    model = TinyAutoencoder(TinyAutoencoderSizes(encoder_width=16, decoder_widths=(24, 16, 12, 8)))
    begin(model, 0)
    begin_at_unit(model, clips)
    return model


@torch.no_grad()
def test_every_latent_channel_begins_at_mean_0_and_deviation_1(model: TinyAutoencoder, clips: Tensor) -> None:
    latents = encode(model, clips)
    assert torch.allclose(latents.mean((0, 1, 3, 4)), torch.zeros(16), atol=1e-4)
    assert torch.allclose(latents.std((0, 1, 3, 4)), torch.ones(16), atol=1e-4)


@torch.no_grad()
def test_one_colour_comes_back(model: TinyAutoencoder) -> None:
    for colour in ((0.2, 0.7, 0.3), (0.6, 0.3, 0.3), (0.5, 0.5, 0.5)):
        frames = torch.tensor(colour).view(1, 1, 3, 1, 1).expand(1, 9, 3, 32, 48)
        found = decode(model, encode(model, frames))[..., 8:-8, 8:-8].mean((0, 1, 3, 4))
        # The latents' soft limit, 3 tanh(z/3), takes a little of what lies far from the mean; hues keep their side.
        assert torch.allclose(found, torch.tensor(colour), atol=0.12)
        assert found.argmax() == torch.tensor(colour).argmax() or len(set(colour)) == 1


@torch.no_grad()
def test_a_clip_comes_back_as_its_means(model: TinyAutoencoder, clips: Tensor) -> None:
    found = decode(model, encode(model, clips))
    blocks = functional.avg_pool2d(clips.flatten(0, 1), 8)
    means = functional.interpolate(blocks, scale_factor=8.0, mode="nearest").view_as(clips)
    # Beside the soft limit, frames are the mean of four, and the other channels are not silent altogether.
    assert float((found - means).square().mean()) < 0.1**2


def test_two_seeds_differ_and_one_repeats() -> None:
    first, again, other = (TinyAutoencoder(TinyAutoencoderSizes(encoder_width=8)) for _ in range(3))
    begin(first, 1)
    begin(again, 1)
    begin(other, 2)
    pairs = list(zip(first.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)
