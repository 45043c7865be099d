"""The noise schedule of CogVideoX as two coefficient tables, one entry for each timestep.

Source: the schedulers published with CogVideoX (diffusers' CogVideoXDDIMScheduler and CogVideoXDPMScheduler:
scaled-linear betas, an SNR shift after Stable Diffusion 3) and algorithm 1 of arXiv 2305.08891 (zero terminal SNR).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.preset import TIMESTEPS, ScheduleSettings

BETA_START = 0.00085
BETA_END = 0.012

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def alphas_cumprod(snr_shift: float = 1.0) -> Float64:
    """ᾱ_t for t in 0…999: the share of the signal's variance that is left at timestep t; ᾱ_999 = 0.

        β_i = (√β_start + i/999·(√β_end − √β_start))²,   A_t = Π_{i≤t} (1 − β_i)
        A_t ← A_t / (s + (1 − s)·A_t),   r_t = √A_t,   r_t ← (r_t − r_999)·r_0 / (r_0 − r_999),   ᾱ_t = r_t²

    Args:
        snr_shift: s; 1.0 for CogVideoX-5B (no shift), 3.0 for CogVideoX-2B.

    Returns:
        float64[1000].
    """
    betas = np.linspace(np.sqrt(BETA_START), np.sqrt(BETA_END), TIMESTEPS) ** 2
    shares = np.cumprod(1.0 - betas)
    shares = shares / (snr_shift + (1.0 - snr_shift) * shares)
    roots = np.sqrt(shares)
    roots = (roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))
    squares: Float64 = roots**2
    return squares


def coefficient_tables(settings: ScheduleSettings) -> tuple[Float32, Float32]:
    """√ᾱ_t and √(1−ᾱ_t) for every timestep.

    Args:
        settings: the SNR shift, and how to round. "exact": both roots in float64, rounded once. "bfloat16": what the
            published code multiplies with when it runs in bfloat16: ᾱ, 1−ᾱ and both roots are each rounded to bfloat16.

    Returns:
        sqrt_alpha float32[1000], sqrt_one_minus_alpha float32[1000].
    """
    exact = alphas_cumprod(settings.snr_shift)
    if settings.rounding == "bfloat16":
        rounded = to_bfloat16(exact)
        complement = to_bfloat16(np.float32(1.0) - rounded)
        return to_bfloat16(np.sqrt(rounded)), to_bfloat16(np.sqrt(complement))
    return np.sqrt(exact).astype(np.float32), np.sqrt(1.0 - exact).astype(np.float32)


def to_bfloat16(values: Float32 | Float64) -> Float32:
    """Round finite values to the nearest bfloat16, ties to even, by way of float32 as torch does.

    Returns:
        float32 of the same shape, whose low 16 bits are zero.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)).view(np.float32)
