"""What `export_bundle` is asked for: data alone, so that the command line can have it before torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from videoscene_rt.engines.preset import Preset

Mismatch = Literal["missing", "unexpected", "misshapen"]
"""How a tensor of a checkpoint and the model's can fail to match: in no file, not in the model, of another shape."""
WeightDType = Literal["float32", "float16", "bfloat16"]
ProofKind = Literal["auto", "whole", "twin"]
KeptHalf = Literal["full", "tiny", "both"]
"""Which encoder, or decoder, a bundle keeps; "both" runs the full one by default."""
KEPT_HALVES: tuple[KeptHalf, ...] = get_args(KeptHalf)
WEIGHT_DTYPES: tuple[WeightDType, ...] = get_args(WeightDType)
PROOFS: tuple[ProofKind, ...] = get_args(ProofKind)
MISMATCHES: tuple[Mismatch, ...] = get_args(Mismatch)


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        preset: the sizes.
        out: the bundle's folder; its parent must be writable.
        checkpoint: folder in diffusers' layout; None for weights from the seed.
        seed: for weights that come from no checkpoint.
        encoder, decoder: which to keep; None keeps the preset's own. tiny_file: the tiny autoencoder's weights; None takes the folder's.
        student, prompt_file, policy_file, accepted: see `videoscene_rt.export.checkpoint.Checkpoint`.
        seed_dtype: what weights from the seed are rounded to, and stored in.
        proof: "whole": every graph is run against torch in its own size, with the models in memory; "twin": a layer at a time, over
            a smaller picture; "auto": whole where that takes little.
        cut_positions: the preset's video may be smaller than the one that the checkpoint was trained for.
        constant_timestep: t of a constant policy; None takes the policy net where there is one.
        force: replace a bundle that is there.
        command: the command line, for the record.
    """

    preset: Preset
    out: Path
    checkpoint: Path | None = None
    seed: int = 0
    constant_timestep: int | None = None
    force: bool = False
    command: str = ""
    student: Path | None = None
    prompt_file: Path | None = None
    policy_file: Path | None = None
    accepted: frozenset[Mismatch] = frozenset()
    cut_positions: bool = False
    seed_dtype: WeightDType = "float32"
    proof: ProofKind = "auto"
    encoder: KeptHalf | None = None
    decoder: KeptHalf | None = None
    tiny_file: Path | None = None
