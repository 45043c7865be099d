"""The student: diffusers' transformer with noising and the way back, as published; our module; our module with our attention kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videoscene_rt.bench.published.attention_op import KernelProcessor
from videoscene_rt.bench.published.built import Built, Run
from videoscene_rt.bench.published.cells import Cell
from videoscene_rt.bench.published.modes import DTYPES, compiled, is_compiled
from videoscene_rt.bench.published.request import Mode
from videoscene_rt.bench.published.weights import Draw, made, twin
from videoscene_rt.bench.torch_lowering import Cast
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.rope import CatRopeProcessor, rope_tables
from videoscene_rt.export.schedule import coefficient_tables
from videoscene_rt.export.student import Student, build_transformer

TIMESTEP = 459


@dataclass(frozen=True)
class StudentInputs:
    """z_r, condition, noise f32[1,T,16,h,w]; prompt f32[1,L,D]; timestep i32[1]."""

    z_r: Tensor
    condition: Tensor
    noise: Tensor
    prompt: Tensor
    timestep: Tensor

    @property
    def all(self) -> tuple[Tensor, ...]:
        """In the order in which our student takes them."""
        return self.z_r, self.condition, self.noise, self.prompt, self.timestep


def with_blocks(preset: Preset, blocks: int | None) -> Preset:
    """The preset with another number of blocks."""
    return preset.model_copy(update={"student": preset.student.model_copy(update={"blocks": blocks})})


def student_inputs(preset: Preset, draw: Draw) -> StudentInputs:
    """Normal values; condition frames between the first and the last are zero, as published."""
    shape = preset.latent_shape
    condition = draw.normal("condition", shape)
    condition[:, 1:-1] = 0.0
    prompt = draw.normal("prompt", (1, preset.student.text_tokens, preset.student.text_width))
    timestep = torch.full((1,), TIMESTEP, dtype=torch.int32, device=draw.device)
    return StudentInputs(draw.normal("z_r", shape), condition, draw.normal("noise", shape), prompt, timestep)


def transformer_on_device(preset: Preset, dtype: torch.dtype, draw: Draw) -> Any:
    """diffusers' transformer with random weights."""
    return made(lambda: build_transformer(preset), dtype, draw)


def published_run(model: Any, preset: Preset, given: StudentInputs, dtype: torch.dtype) -> Run:
    """One iteration as diffusers' pipeline runs it: t known on the host, RoPE's tables in float32, SDPA. Outputs: z_0 and v."""
    sizes = preset.student
    grid = (preset.height // 16, preset.width // 16)
    tables = tuple(table.to(given.z_r.device) for table in rope_tables(sizes.head_dim, preset.latent_frames, grid))
    signal, spread = coefficients(preset)
    prompt, condition = given.prompt.to(dtype), given.condition.to(dtype)

    def run() -> dict[str, Tensor]:
        x_t = signal * given.z_r + spread * given.noise
        velocity = model(
            hidden_states=torch.cat((x_t.to(dtype), condition), dim=2),
            encoder_hidden_states=prompt,
            timestep=given.timestep,
            image_rotary_emb=tables,
            return_dict=False,
        )[0].float()
        return {"z_0": signal * x_t - spread * velocity, "v": velocity}

    return run


def coefficients(preset: Preset) -> tuple[float, float]:
    """√ᾱ and √(1−ᾱ) at the timestep that is measured."""
    signal, spread = coefficient_tables(preset.schedule)
    return float(signal[TIMESTEP]), float(spread[TIMESTEP])


def own_run(student: Any, preset: Preset, given: StudentInputs) -> Run:
    """One iteration of our module; v is read off its result, v = (√ᾱ·x_t − z_0)/√(1−ᾱ)."""
    signal, spread = coefficients(preset)

    def run() -> dict[str, Tensor]:
        z_0 = student(*given.all)
        x_t = signal * given.z_r + spread * given.noise
        return {"z_0": z_0, "v": (signal * x_t - z_0) / spread}

    return run


def own_student(transformer: Any, preset: Preset, dtype: torch.dtype, processor: CatRopeProcessor) -> Student:
    """Our student over a transformer, which becomes part of it, with an attention of ours."""
    student = Student(transformer, preset.schedule).to(transformer.device)
    transformer.set_attn_processor(processor)
    student.transformer = Cast(transformer, dtype)
    return student


def compile_blocks(transformer: Any) -> None:
    """Compile what all blocks share once, rather than all of them in one graph, which takes many times as long to compile."""
    for block in transformer.transformer_blocks:
        block.compile(dynamic=False)


def build_student(cell: Cell, preset: Preset, draw: Draw, kernels: Path | None) -> Built:
    """The student in a mode.

    Raises:
        InputError: our kernel is wanted, and no library was given.
    """
    preset, dtype = with_blocks(preset, cell.blocks), DTYPES[cell.dtype]
    if cell.mode.startswith("kernel") and kernels is None:
        raise InputError("the attention kernel needs the C library", "name it as the request's kernels")
    transformer = transformer_on_device(preset, dtype, draw)
    given = student_inputs(preset, draw)
    if cell.mode in ("eager", "compile", "reduce-overhead"):
        model: Any = compiled(transformer, cell.mode) if cell.mode == "reduce-overhead" else transformer
        if cell.mode == "compile":
            compile_blocks(transformer)
        notes = ("each block compiled, not the whole",) if cell.mode == "compile" else ()
        return Built(published_run(model, preset, given, dtype), given.all, (transformer,), notes=notes)
    reference = published_run(twin(transformer), preset, given, dtype)
    sdpa = _own(twin(transformer), preset, given, dtype, CatRopeProcessor(), cell.mode)
    if cell.mode.startswith("own"):
        return Built(sdpa, given.all, (transformer,), reference=reference)
    assert kernels is not None
    kernel = _own(twin(transformer), preset, given, dtype, KernelProcessor(kernels), cell.mode)
    turns = {"kernel": kernel, "sdpa": sdpa}
    notes = ("series turns.kernel and turns.sdpa: attention by either, in turns, all else the same",)
    return Built(kernel, given.all, (transformer,), reference=reference, turns=turns, notes=notes)


def _own(
    transformer: Any,
    preset: Preset,
    given: StudentInputs,
    dtype: torch.dtype,
    processor: CatRopeProcessor,
    mode: Mode,
) -> Run:
    student = own_student(transformer, preset, dtype, processor)
    if is_compiled(mode):
        compile_blocks(transformer)
    return own_run(student, preset, given)
