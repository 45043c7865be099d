"""The student's transformer for training: the parameters and the arithmetic of diffusers' CogVideoXTransformer3DModel in the
configuration of CogVideoX-5B-I2V (`student.transformer_config`), in plain torch, for batches.

It needs no diffusers, so that a training machine needs torch alone; a test holds both to the same names and values.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from videoscene_rt.engines.preset import LATENT_CHANNELS, PATCH, SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION, Preset
from videoscene_rt.export.distill.positions import rope, time_features
from videoscene_rt.export.distill.transformer_layers import Block, FinalNorm, PatchEmbed, TimeEmbedding


class Transformer(nn.Module):
    """Velocity from [x_t, c], a prompt and a timestep each; zero before training."""

    rope_cos: Tensor
    rope_sin: Tensor
    times: Tensor

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        sizes = preset.student
        width = sizes.heads * sizes.head_dim
        frames, _, height, columns = preset.latent_shape[1:]
        self.grid = (frames, height // PATCH, columns // PATCH)
        self.patch_embed = PatchEmbed(width, sizes.text_width, sizes.text_tokens + math.prod(self.grid))
        self.time_embedding = TimeEmbedding(width, sizes.time_embed_dim)
        self.transformer_blocks = nn.ModuleList(
            Block(width, sizes.heads, sizes.time_embed_dim) for _ in range(sizes.blocks)
        )
        self.norm_final = nn.LayerNorm(width, 1e-5)
        self.norm_out = FinalNorm(width, sizes.time_embed_dim)
        self.proj_out = nn.Linear(width, PATCH * PATCH * LATENT_CHANNELS)
        cos, sin = rope(self.grid, sizes.head_dim)
        self.register_buffer("rope_cos", cos, persistent=False)
        self.register_buffer("rope_sin", sin, persistent=False)
        self.register_buffer("times", time_features(width), persistent=False)

    def forward(self, x: Tensor, prompt: Tensor, timestep: Tensor) -> Tensor:
        """[x_t, c] [B,T,32,h,w], prompt [1 or B,L,D], timestep int64[B] → velocity [B,T,16,h,w]."""
        batch, (frames, rows, columns) = len(x), self.grid
        time = self.time_embedding(self.times[timestep])
        text, video = self.patch_embed(x, prompt.expand(batch, -1, -1))
        for block in self.transformer_blocks:
            text, video = block(text, video, time, self.rope_cos, self.rope_sin)
        out = self.proj_out(self.norm_out(self.norm_final(video), time))
        patches = out.view(batch, frames, rows, columns, LATENT_CHANNELS, PATCH, PATCH)
        velocity: Tensor = patches.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)
        return velocity


def initialise(transformer: Transformer, generator: torch.Generator) -> None:
    """Weights to begin with: every block passes its input on and the velocity is 0.

    Linear layers are normal with a standard deviation of 1/√fan_in, gates and the last layer are zero (as in DiT, arXiv
    2212.09748), norms are 1 and biases 0.
    """
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            if name.endswith("pos_embedding"):
                parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
            elif parameter.ndim == 1:
                parameter.fill_(1.0 if "norm" in name and name.endswith(".weight") else 0.0)
            elif "norm" in name or name.startswith("proj_out"):
                parameter.zero_()
            else:
                fan_in = math.prod(parameter.shape[1:])
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(fan_in))


def config(preset: Preset) -> dict[str, Any]:
    """config.json of the checkpoint: what diffusers needs to build the same transformer."""
    sizes = preset.student
    return {
        "_class_name": "CogVideoXTransformer3DModel",
        "activation_fn": "gelu-approximate",
        "attention_bias": True,
        "attention_head_dim": sizes.head_dim,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": 2 * LATENT_CHANNELS,
        "max_text_seq_length": sizes.text_tokens,
        "norm_elementwise_affine": True,
        "norm_eps": 1e-5,
        "num_attention_heads": sizes.heads,
        "num_layers": sizes.blocks,
        "out_channels": LATENT_CHANNELS,
        "patch_bias": True,
        "patch_size": PATCH,
        "sample_frames": preset.frames,
        "sample_height": preset.height // SPATIAL_COMPRESSION,
        "sample_width": preset.width // SPATIAL_COMPRESSION,
        "spatial_interpolation_scale": 1.875,
        "temporal_compression_ratio": TEMPORAL_COMPRESSION,
        "temporal_interpolation_scale": 1.0,
        "text_embed_dim": sizes.text_width,
        "time_embed_dim": sizes.time_embed_dim,
        "timestep_activation_fn": "silu",
        "use_learned_positional_embeddings": True,
        "use_rotary_positional_embeddings": True,
    }
