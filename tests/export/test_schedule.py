"""The coefficient tables against diffusers' schedulers and the figures published for VideoScene."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

from videoscene_rt.engines.preset import ScheduleSettings
from videoscene_rt.export.schedule import alphas_cumprod, coefficient_tables, to_bfloat16

EVERY_TIMESTEP = torch.arange(1000)
SHIFTS = pytest.mark.parametrize("snr_shift", [1.0, 3.0], ids=["5B", "2B"])
SCHEDULERS = pytest.mark.parametrize("scheduler_class", [CogVideoXDPMScheduler, CogVideoXDDIMScheduler])


def scheduler_of(scheduler_class, snr_shift):
    return scheduler_class(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        snr_shift_scale=snr_shift,
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=0,
    )


def scheduler_coefficients(scheduler, dtype):
    """What add_noise multiplies with in a dtype: it is linear, so ones and zeros bring its coefficients out."""
    ones, zeros = torch.ones(1000, 1, dtype=dtype), torch.zeros(1000, 1, dtype=dtype)
    signal = scheduler.add_noise(ones, zeros, EVERY_TIMESTEP)
    spread = scheduler.add_noise(zeros, ones, EVERY_TIMESTEP)
    return signal[:, 0], spread[:, 0]


@SHIFTS
@SCHEDULERS
def test_alphas_are_the_schedulers(scheduler_class, snr_shift):
    expected = scheduler_of(scheduler_class, snr_shift).alphas_cumprod
    assert expected.dtype == torch.float64
    np.testing.assert_allclose(alphas_cumprod(snr_shift), expected.numpy(), rtol=1e-12, atol=1e-15)


@SHIFTS
@SCHEDULERS
def test_exact_tables_are_the_schedulers_in_float64_rounded_once(scheduler_class, snr_shift):
    signal, spread = scheduler_coefficients(scheduler_of(scheduler_class, snr_shift), torch.float64)
    sqrt_alpha, sqrt_one_minus_alpha = coefficient_tables(ScheduleSettings(snr_shift=snr_shift))
    assert sqrt_alpha.dtype == sqrt_one_minus_alpha.dtype == np.float32
    np.testing.assert_array_max_ulp(sqrt_alpha, signal.numpy().astype(np.float32), maxulp=1)
    np.testing.assert_array_max_ulp(sqrt_one_minus_alpha, spread.numpy().astype(np.float32), maxulp=1)


@SHIFTS
@SCHEDULERS
def test_bfloat16_tables_are_the_schedulers_in_bfloat16_to_the_bit(scheduler_class, snr_shift):
    signal, spread = scheduler_coefficients(scheduler_of(scheduler_class, snr_shift), torch.bfloat16)
    tables = coefficient_tables(ScheduleSettings(snr_shift=snr_shift, rounding="bfloat16"))
    np.testing.assert_array_equal(tables[0], signal.float().numpy())
    np.testing.assert_array_equal(tables[1], spread.float().numpy())


@pytest.mark.parametrize(("timestep", "signal", "spread"), [(459, 0.546803, 0.837261), (549, 0.424513, 0.905422)])
def test_published_timesteps(timestep, signal, spread):
    sqrt_alpha, sqrt_one_minus_alpha = coefficient_tables(ScheduleSettings())
    assert sqrt_alpha[timestep] == pytest.approx(signal, abs=5e-7)
    assert sqrt_one_minus_alpha[timestep] == pytest.approx(spread, abs=5e-7)


@SHIFTS
def test_ends_and_order(snr_shift):
    sqrt_alpha, sqrt_one_minus_alpha = coefficient_tables(ScheduleSettings(snr_shift=snr_shift))
    assert sqrt_alpha.shape == sqrt_one_minus_alpha.shape == (1000,)
    assert sqrt_alpha[999] == 0 and sqrt_one_minus_alpha[999] == 1  # noqa: PT018
    first = 1 - 0.00085  # A_0, which the rescale to zero terminal SNR keeps
    assert sqrt_alpha[0] == np.float32(np.sqrt(first / (snr_shift + (1 - snr_shift) * first)))
    assert (np.diff(sqrt_alpha) < 0).all()
    assert (np.diff(sqrt_one_minus_alpha) >= 0).all()


def test_bfloat16_is_off_by_the_published_third_of_a_percent():
    exact = np.array(coefficient_tables(ScheduleSettings()))[:, [459, 549]]
    rounded = np.array(coefficient_tables(ScheduleSettings(rounding="bfloat16")))[:, [459, 549]]
    error = np.abs(rounded - exact) / exact
    assert error.max() == pytest.approx(0.0031, abs=1e-4)


def test_to_bfloat16_rounds_as_torch_does_ties_included():
    rng = np.random.default_rng(0)
    ties = (np.arange(0x3F80, 0x3FC0, dtype=np.uint32) << 16 | 0x8000).view(np.float32)
    values = np.concatenate([rng.standard_normal(4000), ties, -ties, [0.0, -0.0, 1.0, 1e-30, 1e30]])
    np.testing.assert_array_equal(to_bfloat16(values), torch.from_numpy(values).bfloat16().float().numpy())
