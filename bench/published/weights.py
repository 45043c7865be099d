"""Modules and inputs with seeded random numbers, made where they are used: nothing of them is ever on the host."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from math import prod
from typing import TypeVar

import torch
from torch import Tensor, nn

from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.export.seeding import BIAS_SCALE

M = TypeVar("M", bound=nn.Module)


class Draw:
    """Random tensors on a device; one depends on the seed and its name alone, on one model of device.

    Args:
        device: "cuda", "cpu", or "meta", where there are shapes and no numbers.
        seed: of all.
    """

    def __init__(self, device: str, seed: int) -> None:
        self.device, self.seed = device, seed

    def normal(self, name: str, shape: Iterable[int], dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Tensor:
        """Normal values of standard deviation ``scale``."""
        out = torch.empty(tuple(shape), dtype=dtype, device=self.device)
        return out.normal_(0.0, scale, generator=self._generator(name))

    def levels(self, name: str, shape: Iterable[int]) -> Tensor:
        """uint8, uniform."""
        out = torch.empty(tuple(shape), dtype=torch.uint8, device=self.device)
        return out.random_(0, 256, generator=self._generator(name))

    def fill(self, name: str, tensor: Tensor) -> None:
        """Weights: as `videoscene_rt.export.seeding.seeded_array` draws them, from another generator."""
        if len(tensor.shape) < 2 and name.rpartition(".")[2] == "weight":
            tensor.fill_(1.0)
            return
        scale = (
            BIAS_SCALE if len(tensor.shape) < 2 or name.endswith("pos_embedding") else prod(tensor.shape[1:]) ** -0.5
        )
        tensor.normal_(0.0, scale, generator=self._generator(name))

    def _generator(self, name: str) -> torch.Generator | None:
        if self.device == "meta":
            return None
        key = int(text_sha256([f"{self.seed}:{name}"])[:15], 16)
        return torch.Generator(self.device).manual_seed(key)


def made(build: Callable[[], M], dtype: torch.dtype, draw: Draw) -> M:
    """A module in ``dtype`` on the device, in evaluation mode: built as shapes, then given memory there and filled.

    Buffers that ``build`` puts on the CPU by name (tables) keep their values and dtypes.
    """
    with torch.device("meta"):
        module = build()
    module = module.requires_grad_(False).eval()
    tables = {name: tensor for name, tensor in module.named_buffers() if not tensor.is_meta}
    module = module.to(dtype).to_empty(device=draw.device)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name in tables:
                owner, _, last = name.rpartition(".")
                setattr(module.get_submodule(owner), last, tables[name].to(draw.device))
            elif tensor.is_floating_point():
                draw.fill(name, tensor)
    return module


def twin(module: M) -> M:
    """A copy with modules of its own over the same tensors."""
    memo = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, memo)


def lay_out(module: nn.Module) -> None:
    """Put the channels of convolution weights last, 2-D and 3-D ones."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in module.parameters():
        if parameter.dim() in layouts:
            parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.dim()])
