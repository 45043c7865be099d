"""The deployed step in torch, for batches: coarse frames and two images in, refined frames out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.distill.autoencoding import Halves, decode, encode, unit_frames
from videoscene_rt.export.distill.clips import Clips
from videoscene_rt.export.distill.diffusion import Schedule, condition_of, sample
from videoscene_rt.export.distill.transformer import Transformer
from videoscene_rt.export.pixels import uint8_from_unit
from videoscene_rt.export.policy import DDPNet


@dataclass(frozen=True)
class Chain:
    """The modules of the step, float32, on one device; ``prompt`` float32[1,L,D]."""

    autoencoder: Halves
    transformer: Transformer
    policy: DDPNet
    prompt: Tensor
    schedule: Schedule


@dataclass(frozen=True)
class Encoded:
    """Clips as the student takes them: z_r and the condition, float32[B,T,16,h,w]."""

    z_r: Tensor
    condition: Tensor


@torch.no_grad()
def encode_clips(chain: Chain, clips: Clips) -> Encoded:
    """What the encoder's graphs make of the coarse frames and the two images."""
    z_r = encode(chain.autoencoder, unit_frames(clips.coarse))
    first, last = (encode(chain.autoencoder, unit_frames(clips.images[:, n : n + 1])) for n in (0, 1))
    return Encoded(z_r, condition_of(first, last, z_r.shape[1]))


@torch.no_grad()
def refine(chain: Chain, encoded: Encoded, noise: Tensor, timestep: Tensor, steps: int = 1) -> Tensor:
    """Refined frames uint8[B,F,H,W,3]; noise [1 or B,T,16,h,w], timestep int64[B]."""
    noise = noise.expand_as(encoded.z_r)
    z_0 = sample(
        chain.transformer, chain.schedule, encoded.z_r, encoded.condition, noise, chain.prompt, timestep, steps
    )
    return decoded(chain, z_0)


@torch.no_grad()
def decoded(chain: Chain, latent: Tensor) -> Tensor:
    """Latents [B,T,16,h,w] → frames uint8[B,F,H,W,3], rounded as the decoder's graph does."""
    frames = decode(chain.autoencoder, latent)
    levels = uint8_from_unit(frames.flatten(0, 1))
    return levels.view(*frames.shape[:2], *levels.shape[1:])


def logits(policy: DDPNet, z_r: Tensor) -> Tensor:
    """The policy's scores of a batch, [B,K]: each latent by its own root mean square, as the graph has it for one."""
    x = z_r * torch.rsqrt(z_r.square().mean((1, 2, 3, 4), keepdim=True) + 1e-6)
    x = x.flatten(1, 2)
    for convolution in policy.trunk:
        x = torch.relu(convolution(x))
    scores: Tensor = policy.score(x).mean(dim=(2, 3))
    return scores


def deployed_noise(preset: Preset, seed: int, device: torch.device) -> Tensor:
    """ε as the runtime draws it for a seed: float32[1,T,16,h,w] from NumPy's Philox."""
    draw = np.random.Generator(np.random.Philox(seed))
    return torch.from_numpy(draw.standard_normal(preset.latent_shape, dtype=np.float32)).to(device)
