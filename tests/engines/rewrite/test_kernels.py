"""Composed kernels against torch running the layers that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from videoscene_rt.engines.rewrite import kernels


def _numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).to(torch.float32)


def _video(frames: Tensor) -> Tensor:
    """[T,C,H,W] → [1,C,T,H,W]."""
    return frames.transpose(0, 1)[None]


def _close(video: Tensor, frames: Tensor) -> None:
    torch.testing.assert_close(video[0].transpose(0, 1), frames, rtol=1e-4, atol=1e-4)


def test_a_frame_with_its_past() -> None:
    x, weight = _numbers(5, 3, 6, 7), _numbers(4, 6, 3, 3, seed=1)
    past = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
    kernel = torch.from_numpy(kernels.with_past(weight.numpy()))
    padded = functional.pad(_video(x), (1, 1, 1, 1, 1, 0))
    _close(functional.conv3d(padded, kernel), functional.conv2d(torch.cat([x, past], 1), weight, padding=1))


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_merged_frames_and_a_pointwise_before(frames: int) -> None:
    x, first, second = _numbers(8, 3, 6, 8), _numbers(5, 3 * frames, 1, 1, seed=1), _numbers(4, 5, 3, 3, seed=2)
    flat = functional.conv2d(x.reshape(8 // frames, 3 * frames, 6, 8), first)
    expected = functional.conv2d(flat, second, stride=2, padding=1)
    composed = kernels.after_pointwise(second.numpy(), first[:, :, 0, 0].numpy())
    kernel = torch.from_numpy(kernels.merged(composed, frames))
    _close(functional.conv3d(_video(x), kernel, stride=(frames, 2, 2), padding=(0, 1, 1)), expected)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_upsampling(frames: int) -> None:
    x, first, second = _numbers(4, 3, 5, 6), _numbers(2 * frames, 3, 1, 1, seed=1), _numbers(4, 2, 3, 3, seed=2)
    split = functional.conv2d(x, first).reshape(4 * frames, 2, 5, 6)
    expected = functional.conv2d(functional.interpolate(split, scale_factor=2.0, mode="nearest"), second, padding=1)
    kernel = torch.from_numpy(kernels.upsampled(second.numpy(), first[:, :, 0, 0].numpy(), frames))
    _close(functional.conv_transpose3d(_video(x), kernel, stride=(frames, 2, 2), padding=(0, 1, 1)), expected)


def test_a_still_frame() -> None:
    x, weight = _numbers(3, 2, 5, 5), _numbers(4, 2, 3, 3, seed=1)
    kernel = torch.from_numpy(kernels.still(weight.numpy()))
    _close(functional.conv3d(_video(x), kernel, padding=(0, 1, 1)), functional.conv2d(x, weight, padding=1))
