"""Modes taken apart, and torch.compile as they use it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from videoscene_rt.bench.published.request import Mode

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def is_compiled(mode: Mode) -> bool:
    """Whether torch.compile takes part in a mode."""
    return mode == "reduce-overhead" or mode.endswith("compile")


def compiled(module: nn.Module, mode: Mode) -> Any:
    """The module as a mode calls it: compiled for fixed shapes, or as it is."""
    if not is_compiled(mode):
        return module
    return torch.compile(module, dynamic=False, mode="reduce-overhead" if mode == "reduce-overhead" else None)
