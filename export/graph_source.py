"""A graph before it is traced: the torch module, its contract, and how to draw inputs for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from videoscene_rt.engines.specs import TensorSpec
from videoscene_rt.export.numbers import Numbers

PARITY_LIMIT = 1e-4


@dataclass(frozen=True)
class GraphSource:
    """One graph to export.

    Attributes:
        name: the graph's name in the bundle.
        module: its ``forward`` takes ``inputs`` and returns ``outputs``, in that order.
        weights: name of the weight file it shares with its family.
        example: draws fresh valid inputs, one tensor for each of ``inputs``.
        state: output → the input that takes it in the next call.
        parity_limit: largest relative L2 error of the traced graph against the module; 0 means value for value.
        numbers: what the tensors of a module on the meta device hold.
    """

    name: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: str
    example: Callable[[np.random.Generator], tuple[torch.Tensor, ...]]
    state: dict[str, str] = field(default_factory=dict)
    parity_limit: float = PARITY_LIMIT
    numbers: Numbers = field(default_factory=Numbers)


def random_inputs(specs: tuple[TensorSpec, ...], rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Standard normal floats and uniform bytes for each specification; for graphs that take any value."""
    return tuple(_random(spec, rng) for spec in specs)


def _random(spec: TensorSpec, rng: np.random.Generator) -> torch.Tensor:
    if spec.dtype == "uint8":
        return torch.from_numpy(rng.integers(0, 256, spec.shape, dtype=np.uint8))
    if spec.dtype == "float32":
        return torch.from_numpy(rng.standard_normal(spec.shape, dtype=np.float32))
    raise ValueError(f"{spec} needs an example of its own")
