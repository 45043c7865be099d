"""The noise of a step: drawn on the host from Philox(seed), uploaded once, used in every step.

"mean" uses posterior means and clean condition images (σ = 0); only ε is drawn: a steady video.
"published" draws everything that the published code draws, in its order: video posterior, σ, first η, first posterior,
last η, last posterior, ε (github hanyang-21/VideoScene, videoscene/pipeline.py; σ = exp(N(−3, 0.5)), one for both images).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.arguments import whole_number
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import LATENT_CHANNELS, Preset

NoiseMode = Literal["mean", "published"]
NOISE_MODES: tuple[NoiseMode, ...] = ("mean", "published")
MAX_SEED = 2**64 - 1
Noise = dict[str, npt.NDArray[np.float32]]

_SIGMA_MEAN, _SIGMA_STD = -3.0, 0.5


def checked_seed(seed: int) -> int:
    """A key of Philox; InputError unless it is a whole number, 0 ≤ seed < 2⁶⁴."""
    return whole_number("seed", seed, 0, MAX_SEED)


def checked_mode(mode: str) -> NoiseMode:
    """A word of `NOISE_MODES`; InputError if it is none."""
    for known in NOISE_MODES:
        if mode == known:
            return known
    raise InputError(f"there is no noise {mode!r}", f"choose one of {', '.join(NOISE_MODES)}")


def draw_noise(preset: Preset, seed: int, mode: NoiseMode = "mean") -> Noise:
    """The chain's noise buffers by name, all float32: sigma [1], eta [2,3,H,W], posterior_video and noise [1,T,16,h,w],
    posterior_images [2,1,16,h,w].

    The tiny autoencoder has no posterior; "published" draws those tensors all the same, so that ε is the same for both.

    Args:
        preset: gives the shapes.
        seed: key of NumPy's Philox generator, 0 ≤ seed < 2⁶⁴.
        mode: see above.

    Raises:
        InputError: the seed is out of range or the mode is unknown.
    """
    seed, mode = checked_seed(seed), checked_mode(mode)
    draw = np.random.Generator(np.random.Philox(seed))
    image = (3, preset.height, preset.width)
    latent_image = (1, LATENT_CHANNELS, *preset.latent_shape[3:])
    if mode == "mean":
        return {
            "sigma": np.zeros(1, np.float32),
            "eta": np.zeros((2, *image), np.float32),
            "posterior_video": np.zeros(preset.latent_shape, np.float32),
            "posterior_images": np.zeros((2, *latent_image), np.float32),
            "noise": draw.standard_normal(preset.latent_shape, dtype=np.float32),
        }
    posterior_video = draw.standard_normal(preset.latent_shape, dtype=np.float32)
    sigma = np.exp(_SIGMA_MEAN + _SIGMA_STD * draw.standard_normal(1)).astype(np.float32)
    pairs = [
        (draw.standard_normal(image, dtype=np.float32), draw.standard_normal(latent_image, dtype=np.float32))
        for _ in ("first", "last")
    ]
    return {
        "sigma": sigma,
        "eta": np.stack([eta for eta, _ in pairs]),
        "posterior_video": posterior_video,
        "posterior_images": np.stack([posterior for _, posterior in pairs]),
        "noise": draw.standard_normal(preset.latent_shape, dtype=np.float32),
    }
