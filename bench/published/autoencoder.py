"""The published autoencoder as diffusers runs it: encode and decode of a whole clip, whose chunks diffusers cuts itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from videoscene_rt.bench.published.built import Built, Run
from videoscene_rt.bench.published.cells import Cell
from videoscene_rt.bench.published.modes import DTYPES, compiled
from videoscene_rt.bench.published.weights import Draw, made
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import CogVideoXAutoencoderSizes, Preset
from videoscene_rt.export.cogvideox_autoencoder import build_cogvideox_autoencoder
from videoscene_rt.export.pixels import noised, pixels_from_uint8, uint8_from_pixels

SIGMA = 0.05


def published_sizes(preset: Preset) -> CogVideoXAutoencoderSizes:
    """Raises InputError where the preset has no published autoencoder."""
    if isinstance(preset.autoencoder, CogVideoXAutoencoderSizes):
        return preset.autoencoder
    raise InputError(
        f"preset {preset.name} has no published autoencoder", 'leave out its stages, or take "videoscene-5b"'
    )


def build_autoencoder_stage(cell: Cell, preset: Preset, draw: Draw) -> Built:
    """ "encode_coarse", "encode_images" or "decode" of the published path."""
    dtype = DTYPES[cell.dtype]
    sizes = published_sizes(preset)
    vae = made(lambda: build_cogvideox_autoencoder(sizes, preset.height, preset.width), dtype, draw)
    inputs = stage_inputs(cell, preset, draw)
    run = published_run(cell, vae, inputs, sizes.scaling_factor)
    modules = (vae.decoder if cell.stage == "decode" else vae.encoder,)
    for half in ("encoder", "decoder"):
        setattr(vae, half, compiled(getattr(vae, half), cell.mode))
    return Built(run=run, inputs=inputs, modules=modules)


def stage_inputs(cell: Cell, preset: Preset, draw: Draw) -> tuple[Tensor, ...]:
    """encode_coarse: frames u8[F,H,W,3], noise f32[1,T,16,h,w]; encode_images: images u8[2,H,W,3], η f32[2,3,H,W], noise
    f32[2,1,16,h,w]; decode: z_0 f32[1,T,16,h,w]."""
    size = (preset.height, preset.width)
    one, _, *latent = preset.latent_shape
    if cell.stage == "encode_coarse":
        return draw.levels("coarse", (preset.frames, *size, 3)), draw.normal("noise", preset.latent_shape)
    if cell.stage == "encode_images":
        noise = draw.normal("noise", (2, one, *latent))
        return draw.levels("images", (2, *size, 3)), draw.normal("eta", (2, 3, *size)), noise
    return (draw.normal("z_0", preset.latent_shape),)


def published_run(cell: Cell, vae: Any, inputs: tuple[Tensor, ...], scaling: float) -> Run:
    """One iteration of the published path; the two images are encoded one after the other, as the published code does it."""
    dtype = DTYPES[cell.dtype]

    def encoded(video: Tensor, noise: Tensor) -> Tensor:
        posterior = vae.encode(video.to(dtype)).latent_dist
        latent = posterior.mean + posterior.std * noise.permute(0, 2, 1, 3, 4).to(dtype)
        scaled: Tensor = (scaling * latent).permute(0, 2, 1, 3, 4).float()
        return scaled

    def coarse() -> dict[str, Tensor]:
        frames, noise = inputs
        return {"z_r": encoded(pixels_from_uint8(frames).permute(1, 0, 2, 3).unsqueeze(0), noise)}

    def images() -> dict[str, Tensor]:
        given, eta, noise = inputs
        pixels = noised(pixels_from_uint8(given), torch.full((1,), SIGMA, device=given.device), eta).unsqueeze(2)
        first, last = (encoded(pixels[i : i + 1], noise[i : i + 1]) for i in range(2))
        return {"first": first, "last": last}

    def decode() -> dict[str, Tensor]:
        (latent,) = inputs
        video = vae.decode((latent / scaling).permute(0, 2, 1, 3, 4).to(dtype), return_dict=False)[0]
        return {"frames": uint8_from_pixels(video.squeeze(0).permute(1, 0, 2, 3).float())}

    runs: dict[str, Run] = {"encode_coarse": coarse, "encode_images": images, "decode": decode}
    return runs[cell.stage]
