"""Presets small enough to export in seconds."""

from __future__ import annotations

from videoscene_rt.engines.preset import (
    CogVideoXAutoencoderSizes,
    PolicySizes,
    Preset,
    RendererSettings,
    StudentSizes,
    TinyAutoencoderSizes,
)

SMALL = Preset(
    name="small",
    frames=9,
    height=32,
    width=48,
    max_points=3000,
    student=StudentSizes(blocks=2, heads=1, text_tokens=4, text_width=16, time_embed_dim=32),
    autoencoder=TinyAutoencoderSizes(encoder_width=8, decoder_widths=(16, 8, 8, 8)),
    policy=PolicySizes(candidates=(100, 500, 900), channels=(8, 8, 8)),
    renderer=RendererSettings(radius=1, near=0.05, background=(10, 20, 30)),
)

PUBLISHED = SMALL.model_copy(
    update={
        "name": "published",
        "frames": 17,
        "autoencoder": CogVideoXAutoencoderSizes(
            block_out_channels=(8, 8, 8, 16), layers_per_block=1, norm_num_groups=4, scaling_factor=0.7
        ),
        "policy": PolicySizes(candidates=(460, 550), channels=(8, 8, 8)),
    }
)

BOTH = PUBLISHED.model_copy(update={"tiny_autoencoder": SMALL.autoencoder})
"""The published layout with a small tiny autoencoder beside it."""
