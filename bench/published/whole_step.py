"""The whole step as the sum of its stages, which ran one at a time."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from videoscene_rt.bench.published.finding import Finding
from videoscene_rt.bench.published.request import AnyMode, Dtype, Stage

FULL: tuple[Stage, ...] = ("render", "encode_coarse", "encode_images", "policy", "student", "decode")
TINY: tuple[Stage, ...] = ("render", "tiny_encode_coarse", "tiny_encode_images", "policy", "student", "tiny_decode")
PREFERENCES: dict[str, tuple[AnyMode, ...]] = {
    "published path, eager": ("eager",),
    "published path, torch.compile": ("compile", "eager"),
    "our modules, eager": ("own-eager", "eager"),
    "our modules, torch.compile": ("own-compile", "own-eager", "compile", "eager"),
    "TensorRT": ("tensorrt-shared-block", "tensorrt", "tensorrt-stream"),
    "ONNX Runtime CUDA": ("onnxruntime-cuda", "onnxruntime-cuda-parts"),
    "the fastest of each stage": (),
}
"""What each sum takes of a stage: the first of these that was measured; for the last, whichever is fastest."""


class StepSum(BaseModel):
    """A sum of medians.

    Attributes:
        ms: None where a stage is missing. first_ms: until the first frames.
        modes: what was taken of each stage. missing: stages of which there is no time.
        extrapolated: the student's time is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    autoencoder: str
    dtype: Dtype
    ms: float | None
    first_ms: float | None
    floor_ms: float | None
    modes: dict[str, str]
    missing: tuple[str, ...]
    extrapolated: bool


def step_sums(findings: list[Finding], blocks: int) -> list[StepSum]:
    """All sums of which there is any stage besides the renderer, for each dtype; none that takes of each stage what one before it takes.

    The renderer is float32, and by our kernel wherever that was measured.
    """
    found: list[StepSum] = []
    dtypes = [one for one in ("fp32", "fp16", "bf16") if any(f.dtype == one and f.stage != "render" for f in findings)]
    for dtype in dtypes:
        for autoencoder, stages in (("full", FULL), ("tiny", TINY)):
            for name, modes in PREFERENCES.items():
                chosen = {stage: _choice(findings, stage, dtype, modes, blocks) for stage in stages}
                one = _sum(name, autoencoder, dtype, chosen)  # type: ignore[arg-type]
                same = any((one.autoencoder, one.dtype, one.modes) == (f.autoencoder, f.dtype, f.modes) for f in found)
                if one.modes.keys() - {"render"} and not same:
                    found.append(one)
    return found


def _choice(
    findings: list[Finding], stage: Stage, dtype: str, modes: tuple[AnyMode, ...], blocks: int
) -> Finding | None:
    usable = [
        one
        for one in findings
        if one.stage == stage
        and one.ms is not None
        and (one.dtype == dtype or stage == "render")
        and (one.blocks in (None, blocks))
    ]
    order: tuple[AnyMode, ...] = ("kernel-eager", "eager") if stage == "render" else modes
    if not order:
        return min(usable, key=lambda one: one.ms or 0.0, default=None)
    return next((one for mode in order for one in usable if one.mode == mode), None)


def _sum(name: str, autoencoder: str, dtype: Dtype, chosen: dict[Stage, Finding | None]) -> StepSum:
    there = [one for one in chosen.values() if one is not None]
    missing = tuple(stage for stage, one in chosen.items() if one is None)
    whole = None if missing else sum(one.ms or 0.0 for one in there)
    last = list(chosen.values())[-1]
    first = None
    if whole is not None and last is not None and last.first_ms is not None and last.ms is not None:
        first = whole - last.ms + last.first_ms
    floors = [one.floor_ms for one in there]
    return StepSum(
        name=name,
        autoencoder=autoencoder,
        dtype=dtype,
        ms=whole,
        first_ms=first if first is not None else whole,
        floor_ms=None if missing or None in floors else sum(floor or 0.0 for floor in floors),
        modes={stage: one.mode for stage, one in chosen.items() if one is not None},
        missing=missing,
        extrapolated=any(one.extrapolated for one in there),
    )
