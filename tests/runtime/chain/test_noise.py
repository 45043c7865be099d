"""The noise is what the seed says, in the order in which the published code draws."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.presets import SMALL
from videoscene_rt import InputError
from videoscene_rt.chain.noise import draw_noise


def test_the_same_seed_gives_the_same_bits() -> None:
    for mode in ("mean", "published"):
        one, two, other = draw_noise(SMALL, 7, mode), draw_noise(SMALL, 7, mode), draw_noise(SMALL, 8, mode)
        assert all(np.array_equal(one[name], two[name]) for name in one)
        assert not np.array_equal(one["noise"], other["noise"])


def test_mean_draws_epsilon_alone() -> None:
    noise = draw_noise(SMALL, 3)
    assert {name for name, array in noise.items() if array.any()} == {"noise"}
    expected = np.random.Generator(np.random.Philox(3)).standard_normal(SMALL.latent_shape, dtype=np.float32)
    assert np.array_equal(noise["noise"], expected)


def test_published_draws_everything_in_the_published_order() -> None:
    noise = draw_noise(SMALL, 3, "published")
    draw = np.random.Generator(np.random.Philox(3))
    latent, one = SMALL.latent_shape, (1, *SMALL.latent_shape[2:])
    image = (3, SMALL.height, SMALL.width)

    def normal(shape: tuple[int, ...]) -> np.ndarray:
        return draw.standard_normal(shape, dtype=np.float32)

    assert np.array_equal(noise["posterior_video"], normal(latent))
    assert noise["sigma"] == np.float32(np.exp(-3 + 0.5 * draw.standard_normal()))
    for index in (0, 1):
        assert np.array_equal(noise["eta"][index], normal(image))
        assert np.array_equal(noise["posterior_images"][index], normal(one))
    assert np.array_equal(noise["noise"], normal(latent))


def test_sigma_is_log_normal() -> None:
    sigmas = [float(np.log(draw_noise(SMALL, seed, "published")["sigma"][0])) for seed in range(300)]
    assert np.mean(sigmas) == pytest.approx(-3, abs=0.1)
    assert np.std(sigmas) == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match="seed"):
        draw_noise(SMALL, seed)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InputError, match="'loud'"):
        draw_noise(SMALL, 0, "loud")  # type: ignore[arg-type]
