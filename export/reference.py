"""The published step in plain torch: what the chain is proved against.

It follows VideoScene's ``video_gen`` (videoscene/pipeline.py in its repository; arXiv 2504.01956) line by line with
every random tensor given, in diffusers' own layout, modules and attention. It shares no code with the graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from diffusers.models.embeddings import Timesteps, get_3d_rotary_pos_embed

Tensor = torch.Tensor


@dataclass(frozen=True)
class Autoencoder:
    """An autoencoder in diffusers' layout.

    Attributes:
        encode: video float32[1,3,F,H,W] in −1…1 → the posterior's mean and log-variance, each [1,16,T,h,w]; the
            log-variance is None where there is no posterior. One image is a video of one frame.
        decode: latent [1,16,T,h,w], not scaled → video [1,3,F,H,W], about −1…1.
        scaling_factor: the student's latents are this times the encoder's; 0.7 as published, 1 for the tiny one.
    """

    encode: Callable[[Tensor], tuple[Tensor, Tensor | None]]
    decode: Callable[[Tensor], Tensor]
    scaling_factor: float


@dataclass(frozen=True)
class PublishedModules:
    """What the step runs.

    Attributes:
        transformer: diffusers' transformer; what a `Student` replaced in it is set aside while it runs.
        autoencoder: the encoder and the decoder.
        alphas_cumprod: ᾱ, [1000]; the roots are taken in this tensor's dtype, as diffusers' schedulers do: float64 is
            exact, bfloat16 is what the published code does when it runs in bfloat16.
    """

    transformer: CogVideoXTransformer3DModel
    autoencoder: Autoencoder
    alphas_cumprod: Tensor


@dataclass(frozen=True)
class StepInputs:
    """What the step is given: frames uint8[F,H,W,3], two images uint8[H,W,3], prompt float32[1,L,D], and t in 0…999."""

    frames: Tensor
    first_image: Tensor
    last_image: Tensor
    prompt: Tensor
    timestep: int


@dataclass(frozen=True)
class StepNoises:
    """Everything that the published code draws, in its order; standard normal but for sigma.

    Attributes:
        video_posterior: [1,16,T,h,w].
        sigma: σ = exp(N(−3, 0.5)), one number for both images; 0 for none.
        first_eta, last_eta: η of each image, [1,3,H,W].
        first_posterior, last_posterior: [1,16,1,h,w].
        epsilon: ε, [1,T,16,h,w].
    """

    video_posterior: Tensor
    sigma: float
    first_eta: Tensor
    first_posterior: Tensor
    last_eta: Tensor
    last_posterior: Tensor
    epsilon: Tensor


def published_autoencoder(vae: AutoencoderKLCogVideoX) -> Autoencoder:
    """diffusers' AutoencoderKLCogVideoX as the step takes it."""

    def encode(video: Tensor) -> tuple[Tensor, Tensor | None]:
        posterior = vae.encode(video).latent_dist
        return posterior.mean, posterior.logvar

    def decode(latent: Tensor) -> Tensor:
        decoded: Tensor = vae.decode(latent).sample
        return decoded

    return Autoencoder(encode, decode, float(vae.config.scaling_factor))


def published_step(modules: PublishedModules, inputs: StepInputs, noises: StepNoises) -> dict[str, Tensor]:
    """Run the step.

    Returns:
        Every intermediate by its name in the formulas: the latents ``z_r``, ``z_1``, ``z_L``, ``c``, ``x_t``, ``v``,
        ``z_0`` (float32[1,T,16,h,w]; T = 1 for z_1 and z_L), ``video`` (float32[1,3,F,H,W] as decoded) and ``frames``
        (uint8[F,H,W,3]).
    """
    autoencoder = modules.autoencoder
    with torch.no_grad():
        z_r = _latent(autoencoder, _video(inputs.frames), noises.video_posterior)
        first = _video(inputs.first_image[None]) + noises.sigma * noises.first_eta[:, :, None]
        last = _video(inputs.last_image[None]) + noises.sigma * noises.last_eta[:, :, None]
        z_1 = _latent(autoencoder, first, noises.first_posterior)
        z_L = _latent(autoencoder, last, noises.last_posterior)
        between = z_1.new_zeros(z_r.shape[0], z_r.shape[1] - 2, *z_r.shape[2:])
        c = torch.cat([z_1, between, z_L], dim=1)

        alpha = modules.alphas_cumprod[inputs.timestep]
        sqrt_alpha, sqrt_one_minus_alpha = (alpha**0.5).to(z_r.dtype), ((1 - alpha) ** 0.5).to(z_r.dtype)
        x_t = sqrt_alpha * z_r + sqrt_one_minus_alpha * noises.epsilon
        v = _velocity(modules.transformer, torch.cat([x_t, c], dim=2), inputs.prompt, inputs.timestep)
        z_0 = sqrt_alpha * x_t - sqrt_one_minus_alpha * v

        video = autoencoder.decode(1 / autoencoder.scaling_factor * z_0.permute(0, 2, 1, 3, 4))
        frames = ((video[0] / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 3, 0)
    return {
        "z_r": z_r,
        "z_1": z_1,
        "z_L": z_L,
        "c": c,
        "x_t": x_t,
        "v": v,
        "z_0": z_0,
        "video": video,
        "frames": frames,
    }


def _video(frames: Tensor) -> Tensor:
    """uint8[F,H,W,3] → float32[1,3,F,H,W] in −1…1."""
    return frames.permute(3, 0, 1, 2)[None].to(torch.float32) / 127.5 - 1


def _latent(autoencoder: Autoencoder, video: Tensor, noise: Tensor) -> Tensor:
    """Encode, draw from the posterior with the given noise, scale; [1,T,16,h,w]."""
    mean, logvar = autoencoder.encode(video)
    sample = mean if logvar is None else mean + torch.exp(0.5 * logvar) * noise
    return (sample * autoencoder.scaling_factor).permute(0, 2, 1, 3, 4)


def _velocity(transformer: CogVideoXTransformer3DModel, x: Tensor, prompt: Tensor, timestep: int) -> Tensor:
    """diffusers' transformer, its own parts in place, with diffusers' rotary tables."""
    config: Any = transformer.config
    grid = (x.shape[3] // config.patch_size, x.shape[4] // config.patch_size)
    rotary = get_3d_rotary_pos_embed(config.attention_head_dim, ((0, 0), grid), grid, x.shape[1])
    with _as_published(transformer):
        velocity: Tensor = transformer(
            hidden_states=x,
            encoder_hidden_states=prompt,
            timestep=torch.tensor([timestep]),
            image_rotary_emb=rotary,
            return_dict=False,
        )[0]
    return velocity


@contextmanager
def _as_published(transformer: CogVideoXTransformer3DModel) -> Iterator[None]:
    """Put diffusers' attention and time projection in place, and give back what was there."""
    config: Any = transformer.config
    processors, time_proj = dict(transformer.attn_processors), transformer.time_proj
    width = config.num_attention_heads * config.attention_head_dim
    transformer.set_attn_processor(CogVideoXAttnProcessor2_0())
    transformer.time_proj = Timesteps(width, config.flip_sin_to_cos, config.freq_shift)
    try:
        yield
    finally:
        transformer.set_attn_processor(processors)
        transformer.time_proj = time_proj
