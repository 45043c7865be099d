"""One optimiser step, and the moving average of weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def optimiser(parameters: Iterable[nn.Parameter], rate: float, decay: float = 1e-4) -> torch.optim.AdamW:
    """AdamW; vectors (biases, norms) are not decayed."""
    every = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in every if parameter.ndim > 1], "weight_decay": decay},
        {"params": [parameter for parameter in every if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    on_gpu = bool(every) and every[0].is_cuda
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), eps=1e-8, fused=on_gpu or None)


def descend(loss: Tensor, optimiser: torch.optim.Optimizer, rate: float, limit: float = 1.0) -> Tensor:
    """Backward, clip the gradient's norm to ``limit``, step at ``rate``; returns the norm before clipping.

    A gradient that is not finite counts as zero, without asking the device from the host.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, limit)
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    return norm


class Average:
    """A moving average of a module's parameters, in a copy of the module that is never trained.

    Args:
        module: what is averaged.
        decay: of the old average, a step; less in the first steps, so that the start is forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the module's parameters as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        mine, theirs = ([parameter.data for parameter in one.parameters()] for one in (self.module, module))
        torch._foreach_lerp_(mine, theirs, 1.0 - decay)


class Training:
    """A module in training with its optimiser and its average: what a stage steps, saves and takes up again.

    Args:
        module: what is trained.
        rate: the highest learning rate.
        average: decay of the moving average.
    """

    def __init__(self, module: nn.Module, rate: float, average: float) -> None:
        self.module = module
        self.average = Average(module, average)
        self.adam = optimiser(module.parameters(), rate)

    def step(self, loss: Tensor, rate: float) -> Tensor:
        """One step down; returns the gradient's norm."""
        norm = descend(loss, self.adam, rate)
        self.average.update(self.module)
        return norm

    def finish(self) -> None:
        """The module takes its average's weights."""
        self.module.load_state_dict(self.average.module.state_dict())

    def state(self) -> dict[str, Any]:
        """All but the module's own weights."""
        return {
            "adam": self.adam.state_dict(),
            "average": self.average.module.state_dict(),
            "updates": self.average.updates,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """What `state` gave."""
        self.adam.load_state_dict(state["adam"])
        self.average.module.load_state_dict(state["average"])
        self.average.updates = state["updates"]
