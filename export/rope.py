"""Rotary position embedding of the student: its tables, and the attention that applies them."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from torch.nn import functional

Grid = tuple[int, int]
Tables = tuple[torch.Tensor, torch.Tensor]


def rope_tables(head_dim: int, latent_frames: int, grid: Grid, base: Grid | None = None) -> Tables:
    """Cosines and sines of every video token, frame by frame, row by row, as CogVideoX 1.0 has them.

    diffusers' pipelines take ``base`` from the transformer's sample size; as a student with learned positions runs at
    that size alone, this is the grid itself. CogVideoX's training scripts have 480×720 there, whatever the size.

    Args:
        head_dim: channels of one head.
        latent_frames: T.
        grid: rows and columns of patches in a latent frame.
        base: rows and columns of the grid that the positions are scaled to; the grid itself by default.

    Returns:
        cos and sin, float32[T·rows·columns, head_dim], on the CPU even where another default device is set.
    """
    tables: Tables = get_3d_rotary_pos_embed(
        head_dim, crop_region(grid, base or grid), grid, latent_frames, device=torch.device("cpu")
    )
    return tables


def crop_region(grid: Grid, base: Grid) -> tuple[Grid, Grid]:
    """Where a grid lies in the base grid once scaled to fit inside it and centred: (top, left), (bottom, right)."""
    (rows, columns), (base_rows, base_columns) = grid, base
    if rows * base_columns > base_rows * columns:
        height, width = base_rows, round(base_rows / rows * columns)
    else:
        height, width = round(base_columns / columns * rows), base_columns
    top, left = round((base_rows - height) / 2), round((base_columns - width) / 2)
    return (top, left), (top + height, left + width)


def rotate(x: torch.Tensor, tables: Tables) -> torch.Tensor:
    """Turn each pair of neighbouring channels by its token's angle; the sums in diffusers' order.

    Args:
        x: [B, heads, tokens, head_dim].
        tables: cos and sin, [tokens, head_dim], each angle twice.
    """
    cos, sin = tables
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    quarter_turn = torch.stack((-odd, even), dim=-1).flatten(-2)
    return x * cos + quarter_turn * sin


class CatRopeProcessor:
    """CogVideoX's joint attention over text and video; RoPE on the video tokens is joined by torch.cat.

    diffusers' own processor assigns to a slice, which a traced graph renders as ScatterND. The arithmetic and the
    interface are the same.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: Tables | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attend.

        Args:
            attn: diffusers' Attention, with its projections and norms.
            hidden_states: video tokens [B, N, C].
            encoder_hidden_states: text tokens [B, L, C].
            attention_mask: not supported, since CogVideoX has none.
            image_rotary_emb: cos and sin of the video tokens.

        Returns:
            Video tokens [B, N, C], text tokens [B, L, C].

        Raises:
            NotImplementedError: a mask was given.
        """
        if attention_mask is not None:
            raise NotImplementedError("CogVideoX's attention takes no mask")
        texts = encoder_hidden_states.shape[1]
        tokens = torch.cat((encoder_hidden_states, hidden_states), dim=1)

        def heads(projected: torch.Tensor) -> torch.Tensor:
            split: torch.Tensor = projected.unflatten(-1, (attn.heads, -1))
            return split.transpose(1, 2)

        def positioned(x: torch.Tensor) -> torch.Tensor:
            if image_rotary_emb is None:
                return x
            return torch.cat((x[:, :, :texts], rotate(x[:, :, texts:], image_rotary_emb)), dim=2)

        query = positioned(attn.norm_q(heads(attn.to_q(tokens))))
        key = positioned(attn.norm_k(heads(attn.to_k(tokens))))
        value = heads(attn.to_v(tokens))
        mixed = self.attend(query, key, value).transpose(1, 2).flatten(-2)
        out = attn.to_out[0](mixed)
        return out[:, texts:], out[:, :texts]

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """softmax(query·keyᵀ/√d)·value, all [B, heads, tokens, head_dim]."""
        return functional.scaled_dot_product_attention(query, key, value)
