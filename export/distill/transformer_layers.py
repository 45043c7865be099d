"""The layers of the student's transformer; names and arithmetic are those of diffusers' CogVideoX modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from videoscene_rt.engines.preset import LATENT_CHANNELS, PATCH


class PatchEmbed(nn.Module):
    """[x_t, c] in patches of 2×2 and the prompt, as tokens with their learned positions."""

    def __init__(self, width: int, text_width: int, tokens: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(2 * LATENT_CHANNELS, width, PATCH, stride=PATCH)
        self.text_proj = nn.Linear(text_width, width)
        self.pos_embedding = nn.Parameter(torch.zeros(1, tokens, width))

    def forward(self, x: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        patches = self.proj(x.flatten(0, 1)).flatten(2).transpose(1, 2)
        video = patches.reshape(len(x), -1, patches.shape[-1])
        text = self.text_proj(prompt)
        texts = text.shape[1]
        return text + self.pos_embedding[:, :texts], video + self.pos_embedding[:, texts:]


class TimeEmbedding(nn.Module):
    """Features of a timestep, through two linear layers."""

    def __init__(self, width: int, time_width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, time_width)
        self.linear_2 = nn.Linear(time_width, time_width)

    def forward(self, features: Tensor) -> Tensor:
        embedded: Tensor = self.linear_2(functional.silu(self.linear_1(features)))
        return embedded


class _ZeroNorm(nn.Module):
    """A layer norm that the timestep shifts, scales and gates, for text and video apart."""

    def __init__(self, width: int, time_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(time_width, 6 * width)
        self.norm = nn.LayerNorm(width, 1e-5)

    def forward(self, text: Tensor, video: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        parts = self.linear(functional.silu(time))[:, None].chunk(6, dim=-1)
        shift, scale, gate, text_shift, text_scale, text_gate = parts
        return (
            self.norm(text) * (1 + text_scale) + text_shift,
            self.norm(video) * (1 + scale) + shift,
            text_gate,
            gate,
        )


class FinalNorm(nn.Module):
    """A layer norm that the timestep shifts and scales."""

    def __init__(self, width: int, time_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(time_width, 2 * width)
        self.norm = nn.LayerNorm(width, 1e-5)

    def forward(self, video: Tensor, time: Tensor) -> Tensor:
        shift, scale = self.linear(functional.silu(time))[:, None].chunk(2, dim=-1)
        normed: Tensor = self.norm(video) * (1 + scale) + shift
        return normed


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_q, self.norm_k = (nn.LayerNorm(width // heads, 1e-6) for _ in range(2))
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, tokens: Tensor, texts: int, cos: Tensor, sin: Tensor) -> Tensor:
        def split(projected: Tensor) -> Tensor:
            heads: Tensor = projected.unflatten(-1, (self.heads, -1))
            return heads.transpose(1, 2)

        def turned(x: Tensor) -> Tensor:
            even, odd = x[:, :, texts:].unflatten(-1, (-1, 2)).unbind(-1)
            quarter = torch.stack((-odd, even), dim=-1).flatten(-2)
            return torch.cat((x[:, :, :texts], x[:, :, texts:] * cos + quarter * sin), dim=2)

        query, key = turned(self.norm_q(split(self.to_q(tokens)))), turned(self.norm_k(split(self.to_k(tokens))))
        value = split(self.to_v(tokens))
        mixed = functional.scaled_dot_product_attention(query.to(value.dtype), key.to(value.dtype), value)
        out: Tensor = self.to_out[0](mixed.transpose(1, 2).flatten(-2))
        return out


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        # The names are diffusers': net.0.proj and net.2, with a dropout of nothing between.
        self.net = nn.ModuleList([nn.ModuleDict({"proj": nn.Linear(width, 4 * width)}), nn.Identity()])
        self.net.append(nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        inner: Any = self.net[0]
        out: Tensor = self.net[2](functional.gelu(inner["proj"](tokens), approximate="tanh"))
        return out


class Block(nn.Module):
    """Attention over text and video together, then a feed-forward layer, each gated by the timestep."""

    def __init__(self, width: int, heads: int, time_width: int) -> None:
        super().__init__()
        self.norm1 = _ZeroNorm(width, time_width)
        self.attn1 = _Attention(width, heads)
        self.norm2 = _ZeroNorm(width, time_width)
        self.ff = _FeedForward(width)

    def forward(self, text: Tensor, video: Tensor, time: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        texts = text.shape[1]
        normed_text, normed_video, text_gate, gate = self.norm1(text, video, time)
        mixed = self.attn1(torch.cat((normed_text, normed_video), dim=1), texts, cos, sin)
        text, video = text + text_gate * mixed[:, :texts], video + gate * mixed[:, texts:]
        normed_text, normed_video, text_gate, gate = self.norm2(text, video, time)
        fed = self.ff(torch.cat((normed_text, normed_video), dim=1))
        return text + text_gate * fed[:, :texts], video + gate * fed[:, texts:]
