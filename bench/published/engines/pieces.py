"""The student in three graphs: what is before its blocks, one block, what is behind them. The arithmetic is diffusers'."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from videoscene_rt.engines.preset import Preset
from videoscene_rt.engines.specs import TensorSpec
from videoscene_rt.export.graph_source import GraphSource, random_inputs
from videoscene_rt.export.numbers import Numbers
from videoscene_rt.export.student import Student


class _Piece(nn.Module):
    """Has the student's modules under the names that they have in it, so that its precision recipe names their nodes."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.transformer: Any = student.transformer
        for name in ("rope_cos", "rope_sin", "sqrt_alpha", "sqrt_one_minus_alpha"):
            self.register_buffer(name, getattr(student, name), persistent=False)

    def coefficients(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """√ᾱ and √(1−ᾱ) at int32[1], each f32[1,1,1,1,1]."""
        tables: tuple[Any, Any] = (self.sqrt_alpha, self.sqrt_one_minus_alpha)
        signal, spread = (table.index_select(0, timestep).view(1, 1, 1, 1, 1) for table in tables)
        return signal, spread


class StudentHead(_Piece):
    """Noising, time embedding, patches and positions."""

    def forward(
        self, z_r: Tensor, condition: Tensor, noise: Tensor, prompt: Tensor, timestep: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Student.forward` takes them → hidden f32[1,N,C], text f32[1,L,C], emb f32[1,E]."""
        signal, spread = self.coefficients(timestep)
        x_t = signal * z_r + spread * noise
        emb = self.transformer.time_embedding(self.transformer.time_proj(timestep), None)
        tokens = self.transformer.patch_embed(prompt, torch.cat((x_t, condition), dim=2))
        texts = prompt.shape[1]
        return tokens[:, texts:], tokens[:, :texts], emb


class StudentBlock(_Piece):
    """The first block."""

    def forward(self, hidden: Tensor, text: Tensor, emb: Tensor) -> tuple[Tensor, Tensor]:
        """hidden f32[1,N,C], text f32[1,L,C], emb f32[1,E] → the next hidden and text."""
        following: tuple[Tensor, Tensor] = self.transformer.transformer_blocks[0](
            hidden_states=hidden,
            encoder_hidden_states=text,
            temb=emb,
            image_rotary_emb=(self.rope_cos, self.rope_sin),
        )
        return following


class StudentTail(_Piece):
    """Last norms, patches into a video, and the way back to x_0."""

    def forward(self, hidden: Tensor, emb: Tensor, z_r: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """The last block's video tokens, and what `StudentHead` was given → z_0 f32[1,T,16,h,w]."""
        signal, spread = self.coefficients(timestep)
        x_t = signal * z_r + spread * noise
        frames, channels, height, width = z_r.shape[1:]
        patch = self.transformer.config.patch_size
        out = self.transformer.proj_out(self.transformer.norm_out(self.transformer.norm_final(hidden), temb=emb))
        out = out.reshape(1, frames, height // patch, width // patch, channels, patch, patch)
        velocity = out.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)
        z_0: Tensor = signal * x_t - spread * velocity
        return z_0


def piece_sources(student: Student, whole: GraphSource, preset: Preset, numbers: Numbers) -> dict[str, GraphSource]:
    """The three graphs to trace.

    Args:
        student: on the meta device or not; one block is enough.
        whole: the student's own graph, whose inputs they share.
        preset: the sizes. numbers: what tensors on the meta device hold.
    """
    sizes = preset.student
    width, patches = sizes.heads * sizes.head_dim, preset.latent_frames * (preset.height // 16) * (preset.width // 16)
    state = {"hidden": (1, patches, width), "text": (1, sizes.text_tokens, width)}
    states = [TensorSpec(name=name, dtype="float32", shape=shape, meaning="tokens") for name, shape in state.items()]
    following = [one.model_copy(update={"name": f"next_{one.name}"}) for one in states]
    emb = TensorSpec(name="emb", dtype="float32", shape=(1, sizes.time_embed_dim), meaning="time embedding")
    known = {one.name: one for one in whole.inputs}
    latents = (known["z_r"], known["noise"], known["timestep"])
    parts: dict[str, tuple[nn.Module, tuple[TensorSpec, ...], tuple[TensorSpec, ...]]] = {
        "student_head": (StudentHead(student), whole.inputs, (*states, emb)),
        "student_block": (StudentBlock(student), (*states, emb), tuple(following)),
        "student_tail": (StudentTail(student), (states[0], emb, *latents), whole.outputs),
    }
    return {
        name: GraphSource(
            name=name,
            module=module.eval(),
            inputs=inputs,
            outputs=outputs,
            weights="student",
            example=partial(_example, inputs),
            numbers=numbers,
        )
        for name, (module, inputs, outputs) in parts.items()
    }


def _example(inputs: tuple[TensorSpec, ...], rng: np.random.Generator) -> tuple[Tensor, ...]:
    return random_inputs(inputs, rng)
