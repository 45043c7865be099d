"""Figures against scikit-image and by regions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from videoscene_rt.export.distill.figures import figures, mean_figures
from videoscene_rt.export.distill.losses import pixel_loss, unit_loss
from videoscene_rt.export.distill.metrics import psnr, squared_error, ssim_map


def pictures(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A smooth clip uint8[3,40,56,3] and the same with noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :56]
    clean = np.stack([120 + 80 * np.sin(x / (4 + f) + c) * np.cos(y / 7) for f in range(3) for c in range(3)], axis=-1)
    clean = clean.reshape(40, 56, 3, 3).transpose(2, 0, 1, 3)
    noisy = np.clip(clean + rng.normal(0, noise, clean.shape), 0, 255)
    return noisy.round().astype(np.uint8), clean.round().astype(np.uint8)


@pytest.mark.parametrize("noise", [1.0, 20.0, 90.0])
def test_psnr_and_ssim_are_scikit_images(noise: float) -> None:
    found, target = pictures(noise)
    a, b = torch.from_numpy(found), torch.from_numpy(target)
    expected = peak_signal_noise_ratio(target, found, data_range=255)
    assert psnr(float(squared_error(a, b).mean())) == pytest.approx(expected, abs=1e-4)
    for frame in range(3):
        reference, image = structural_similarity(
            target[frame], found[frame], channel_axis=-1, data_range=255, full=True
        )
        mine = ssim_map(a[frame : frame + 1], b[frame : frame + 1])[0]
        assert float(mine.mean()) == pytest.approx(reference, abs=1e-6)
        assert np.allclose(mine.numpy(), image.mean(-1)[3:-3, 3:-3], atol=1e-5)


def test_the_ends_of_psnr() -> None:
    assert psnr(0.0) == 99.0
    assert psnr(255.0**2) == 0.0
    assert math.isnan(psnr(math.nan))


def test_figures_by_region() -> None:
    found, target = (torch.from_numpy(part) for part in pictures(20.0))
    holes = torch.zeros(found.shape[:3], dtype=torch.uint8)
    holes[:, :20] = 1
    found = found.clone()
    found[:, 20:] = target[:, 20:]
    row = figures(found, target, holes)
    error = squared_error(found, target)
    assert row.mse["holes"] == pytest.approx(float(error[:, :20].mean()), rel=1e-5)
    assert row.psnr["outside"] == 99.0
    assert row.mse["whole"] == pytest.approx(row.mse["holes"] / 2, rel=1e-5)
    assert row.ssim["outside"] > row.ssim["whole"] > row.ssim["holes"]
    full = figures(found, target, torch.zeros_like(holes))
    assert math.isnan(full.psnr["holes"])
    assert "holes" not in full.to_json()["psnr"]
    mean = mean_figures([row, full])
    assert mean.psnr["holes"] == row.psnr["holes"]  # a clip without holes does not count there
    assert mean.mse["whole"] == pytest.approx((row.mse["whole"] + full.mse["whole"]) / 2)


def test_losses_are_zero_where_nothing_is_wrong_and_pull_towards_it() -> None:
    target = torch.rand(2, 3, 3, 16, 24)
    assert float(pixel_loss(target, target)) == pytest.approx(0.0, abs=1e-5)
    found = (target + 0.1 * torch.randn_like(target)).requires_grad_(True)
    loss = pixel_loss(found, target)
    loss.backward()
    assert float(((found.detach() - target) * found.grad).sum()) > 0
    latents = torch.randn(8, 3, 16, 8, 8)
    assert float(unit_loss(latents)) < 0.01 < float(unit_loss(3 * latents + 1))
