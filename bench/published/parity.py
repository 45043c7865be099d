"""Our student against diffusers' transformer on the same weights, in half precision and beside both in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from videoscene_rt.bench.published.attention_op import KernelProcessor
from videoscene_rt.bench.published.built import relative_l2
from videoscene_rt.bench.published.modes import DTYPES
from videoscene_rt.bench.published.request import Dtype
from videoscene_rt.bench.published.student import (
    own_run,
    own_student,
    published_run,
    student_inputs,
    transformer_on_device,
    with_blocks,
)
from videoscene_rt.bench.published.weights import Draw, twin
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.rope import CatRopeProcessor


def student_parity(preset: Preset, blocks: int, dtype: Dtype, draw: Draw, kernels: Path | None) -> dict[str, Any]:
    """Relative L2 of v between every two of: diffusers, ours, ours with our attention kernel; and of each to diffusers in float32 on the
    very same numbers as weights (of half precision, widened).

    Returns:
        ``dtype``, ``blocks``, ``relative_l2`` by "one against other", ``v_rms`` of diffusers' in float32, ``finite``, ``notes``.
    """
    preset, half = with_blocks(preset, blocks), DTYPES[dtype]
    transformer = transformer_on_device(preset, half, draw)
    given = student_inputs(preset, draw)
    notes = []
    found = {"diffusers": published_run(transformer, preset, given, half)()}
    processors: dict[str, CatRopeProcessor] = {"ours": CatRopeProcessor()}
    if kernels is not None and half != torch.float32:
        processors["ours with our attention"] = KernelProcessor(kernels)
    for name, processor in processors.items():
        found[name] = own_run(own_student(twin(transformer), preset, half, processor), preset, given)()
    pairs = {f"{name} against diffusers": (name, "diffusers") for name in processors}
    try:
        found["float32"] = published_run(transformer.float(), preset, given, torch.float32)()
        pairs.update({f"{name} against float32": (name, "float32") for name in ("diffusers", *processors)})
    except RuntimeError as error:
        notes.append(f"no float32: {str(error).splitlines()[0]}")
    size = found.get("float32", found["diffusers"])["v"]
    return {
        "dtype": dtype,
        "blocks": blocks,
        "relative_l2": {pair: relative_l2(found[one], found[other])["v"] for pair, (one, other) in pairs.items()},
        "v_rms": float(size.float().square().mean().sqrt()),
        "finite": {name: bool(torch.isfinite(outputs["v"]).all()) for name, outputs in found.items()},
        "notes": notes,
    }
