"""A stage that can be run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Outputs = Mapping[str, Tensor]
Run = Callable[[], Outputs]


@dataclass(frozen=True)
class Built:
    """A stage on its device, with its weights and its inputs.

    Attributes:
        run: one iteration on the current stream; returns its outputs.
        inputs: what goes in. modules: whose weights it holds.
        first: as much of ``run`` as the first frames need; None where all frames come at once.
        reference: the published path on the same weights and inputs, for comparison; None where ``run`` is it.
        turns: other ways, and this one, to be timed in turns.
        autotune: cuDNN tries its algorithms (``torch.backends.cudnn.benchmark``).
        notes: about it.
    """

    run: Run
    inputs: tuple[Tensor, ...]
    modules: tuple[nn.Module, ...] = ()
    first: Run | None = None
    reference: Run | None = None
    turns: Mapping[str, Run] = field(default_factory=dict)
    autotune: bool = False
    notes: tuple[str, ...] = ()


def relative_l2(found: Outputs, wanted: Outputs) -> dict[str, float]:
    """‖found − wanted‖ / ‖wanted‖ of each output that both have and that is made of numbers (not the timestep), in float64 sums."""
    result = {}
    for name in found.keys() & wanted.keys():
        if found[name].dtype == torch.int32:
            continue
        one, other = found[name].float(), wanted[name].float()
        size = torch.linalg.vector_norm(other, dtype=torch.float64).item()
        gap = torch.linalg.vector_norm(one - other, dtype=torch.float64).item()
        result[name] = gap / size if size else gap
    return result
