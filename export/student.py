"""The student: one denoising step from the coarse video's latent to the refined one."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import CogVideoXTransformer3DModel
from torch import nn

from videoscene_rt.engines.preset import (
    LATENT_CHANNELS,
    PATCH,
    SPATIAL_COMPRESSION,
    TEMPORAL_COMPRESSION,
    TIMESTEPS,
    Preset,
    ScheduleSettings,
)
from videoscene_rt.export.rope import CatRopeProcessor, rope_tables
from videoscene_rt.export.schedule import coefficient_tables


def transformer_config(preset: Preset) -> dict[str, Any]:
    """The arguments of diffusers' CogVideoXTransformer3DModel for a preset.

    All but the sizes are those of CogVideoX-5B-I2V, which VideoScene is finetuned from: 16 latent and 16 condition
    channels in, learned positions and RoPE both on, biases everywhere, no "ofs" embedding (that is CogVideoX 1.5).
    """
    sizes = preset.student
    return {
        "num_attention_heads": sizes.heads,
        "attention_head_dim": sizes.head_dim,
        "num_layers": sizes.blocks,
        "in_channels": 2 * LATENT_CHANNELS,
        "out_channels": LATENT_CHANNELS,
        "time_embed_dim": sizes.time_embed_dim,
        "text_embed_dim": sizes.text_width,
        "max_text_seq_length": sizes.text_tokens,
        "sample_width": preset.width // SPATIAL_COMPRESSION,
        "sample_height": preset.height // SPATIAL_COMPRESSION,
        "sample_frames": preset.frames,
        "patch_size": PATCH,
        "patch_size_t": None,
        "patch_bias": True,
        "temporal_compression_ratio": TEMPORAL_COMPRESSION,
        "spatial_interpolation_scale": 1.875,
        "temporal_interpolation_scale": 1.0,
        "use_rotary_positional_embeddings": True,
        "use_learned_positional_embeddings": True,
        "ofs_embed_dim": None,
        "attention_bias": True,
        "activation_fn": "gelu-approximate",
        "timestep_activation_fn": "silu",
        "norm_elementwise_affine": True,
        "norm_eps": 1e-5,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "dropout": 0.0,
    }


def build_transformer(preset: Preset) -> CogVideoXTransformer3DModel:
    """diffusers' transformer in a preset's sizes, with weights that mean nothing yet; on the default device.

    Its positional embedding is a buffer that starts as diffusers' sines and cosines, in float32 as it is used; a
    checkpoint brings the learned one.
    """
    transformer = CogVideoXTransformer3DModel(**transformer_config(preset))
    transformer.patch_embed.pos_embedding = transformer.patch_embed.pos_embedding.float()
    return transformer


class TimestepTable(nn.Module):
    """diffusers' sinusoidal projection of the timestep, looked up for t in 0…999 instead of computed.

    Computed, it takes sines of up to 999 radians, where one rounding of a frequency shifts the phase by 6e-5 in
    float32 and float16 has no digits left. The table holds diffusers' own values.

    Args:
        projection: diffusers' Timesteps.
    """

    table: torch.Tensor

    def __init__(self, projection: nn.Module) -> None:
        super().__init__()
        self.register_buffer("table", projection(torch.arange(TIMESTEPS, device="cpu")), persistent=False)

    def forward(self, timestep: torch.Tensor) -> torch.Tensor:
        """Look up: t, int32[B] or int64[B] → float32[B, width]."""
        return self.table.index_select(0, timestep)


class Student(nn.Module):
    """Noising, the transformer and the way back to x_0; the timestep is a tensor, so the host decides nothing.

        x_t = √ᾱ_t · z_r + √(1−ᾱ_t) · ε,   v = DiT([x_t, c], prompt, t),   z_0 = √ᾱ_t · x_t − √(1−ᾱ_t) · v

    (x_0 from a v-prediction: arXiv 2202.00512, appendix D.)

    Args:
        transformer: becomes a part of this module, in evaluation mode; its attention and its time projection are
            replaced by ones that trace well and compute the same.
        schedule: which coefficients the tables hold.
    """

    sqrt_alpha: torch.Tensor
    sqrt_one_minus_alpha: torch.Tensor
    rope_cos: torch.Tensor
    rope_sin: torch.Tensor

    def __init__(self, transformer: CogVideoXTransformer3DModel, schedule: ScheduleSettings) -> None:
        super().__init__()
        config = transformer.config
        transformer.set_attn_processor(CatRopeProcessor())
        transformer.time_proj = TimestepTable(transformer.time_proj)
        self.transformer = transformer.requires_grad_(False)
        latent_frames = (config.sample_frames - 1) // config.temporal_compression_ratio + 1
        grid = (config.sample_height // config.patch_size, config.sample_width // config.patch_size)
        cos, sin = rope_tables(config.attention_head_dim, latent_frames, grid)
        sqrt_alpha, sqrt_one_minus_alpha = map(torch.from_numpy, coefficient_tables(schedule))
        self.register_buffer("rope_cos", cos, persistent=False)
        self.register_buffer("rope_sin", sin, persistent=False)
        self.register_buffer("sqrt_alpha", sqrt_alpha, persistent=False)
        self.register_buffer("sqrt_one_minus_alpha", sqrt_one_minus_alpha, persistent=False)
        self.eval()

    def forward(
        self,
        z_r: torch.Tensor,
        condition: torch.Tensor,
        noise: torch.Tensor,
        prompt: torch.Tensor,
        timestep: torch.Tensor,
    ) -> torch.Tensor:
        """Refine.

        Args:
            z_r: the coarse video's latent, float32[1,T,16,h,w].
            condition: [z_1, 0, …, 0, z_L], float32[1,T,16,h,w].
            noise: ε, standard normal, float32[1,T,16,h,w].
            prompt: the prompt's embedding, float32[1,L,D].
            timestep: t in 0…999, int32[1].

        Returns:
            z_0, the refined video's latent, float32[1,T,16,h,w].
        """
        signal = self.sqrt_alpha.index_select(0, timestep).view(1, 1, 1, 1, 1)
        spread = self.sqrt_one_minus_alpha.index_select(0, timestep).view(1, 1, 1, 1, 1)
        x_t = signal * z_r + spread * noise
        velocity: torch.Tensor = self.transformer(
            hidden_states=torch.cat((x_t, condition), dim=2),
            encoder_hidden_states=prompt,
            timestep=timestep,
            image_rotary_emb=(self.rope_cos, self.rope_sin),
            return_dict=False,
        )[0]
        return signal * x_t - spread * velocity
