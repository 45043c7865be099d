"""What a module's tensors hold, wherever that is: in memory, or at a source that reads or makes one tensor at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from videoscene_rt.export.tensor_source import TensorSource


class Numbers:
    """The numbers of modules that may lie on the meta device.

    Args:
        modules: each with the source of its tensors; a tensor is known again in any module that shares it.
    """

    def __init__(self, modules: Iterable[tuple[nn.Module, TensorSource]] = ()) -> None:
        self._kept: list[torch.Tensor] = []  # or another tensor could get the identity of one that is gone
        self._places: dict[int, tuple[TensorSource, str]] = {}
        for module, source in modules:
            for name, tensor in module.state_dict(keep_vars=True).items():
                self._kept.append(tensor)
                self._places[id(tensor)] = (source, name)

    def read(self, tensor: torch.Tensor) -> torch.Tensor:
        """What a tensor holds, in its own shape, in the dtype in which it is kept.

        Raises:
            InputError: a file cannot be read.
            ValueError: it is on the meta device, and no source knows it.
        """
        if not tensor.is_meta:
            return tensor.detach()
        if id(tensor) not in self._places:
            raise ValueError(f"a tensor of shape {list(tensor.shape)} on the meta device has no numbers")
        source, name = self._places[id(tensor)]
        return source.read(name)

    @contextmanager
    def present(self, module: nn.Module) -> Iterator[None]:
        """Inside, a module on the meta device can be run: each layer gets its tensors before its forward and loses them after it.

        So no more than one layer's are in memory, however large the module is. Layers that are in memory stay as they are.
        """
        hooks = [hook for layer in module.modules() for hook in self._hooks(layer)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hooks(self, layer: nn.Module) -> Iterator[Any]:
        absent = {
            (held, name): tensor
            for held, tensors in (("_parameters", layer._parameters), ("_buffers", layer._buffers))
            for name, tensor in tensors.items()
            if tensor is not None and tensor.is_meta
        }
        if not absent:
            return

        def bring(layer: nn.Module, _inputs: Any) -> None:
            for (held, name), tensor in absent.items():
                numbers = self.read(tensor).to(tensor.dtype)
                real = nn.Parameter(numbers, False) if held == "_parameters" else numbers
                getattr(layer, held)[name] = real

        def leave(layer: nn.Module, _inputs: Any, _outputs: Any) -> None:
            for (held, name), tensor in absent.items():
                getattr(layer, held)[name] = tensor

        yield layer.register_forward_pre_hook(bring)
        yield layer.register_forward_hook(leave, always_call=True)


@dataclass(frozen=True)
class View:
    """A tensor as a graph wants it.

    Attributes:
        tensor: a module's.
        permutation: its axes in their new order; None leaves them.
        shape: of the result.
    """

    tensor: torch.Tensor
    shape: tuple[int, ...]
    permutation: tuple[int, ...] | None = None

    @classmethod
    def whole(cls, tensor: torch.Tensor) -> View:
        """The tensor as it is."""
        return cls(tensor, tuple(tensor.shape))

    def transposed(self, permutation: tuple[int, ...]) -> View | None:
        """With its axes in another order; None where it is a view already that this one cannot follow."""
        if self.permutation is not None or self.shape != tuple(self.tensor.shape):
            return None
        return View(self.tensor, tuple(self.shape[axis] for axis in permutation), permutation)

    def reshaped(self, shape: tuple[int, ...]) -> View:
        """In another shape of the same size."""
        return View(self.tensor, shape, self.permutation)

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """The numbers of the tensor, so."""
        if self.permutation is not None:
            numbers = numbers.permute(self.permutation)
        return numbers.reshape(self.shape).contiguous()


def weightless(module: nn.Module) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A copy of a module on the meta device, which takes no memory, and the tensors that it stands for.

    Returns:
        The copy, and every parameter and buffer of ``module`` by its name in it; a tensor that has several names is there
        under each.
    """
    tensors = {
        name: tensor
        for named in (module.named_parameters, module.named_buffers)
        for name, tensor in named(remove_duplicate=False)
    }
    memo: dict[int, object] = {}
    for tensor in tensors.values():
        if isinstance(tensor, nn.Parameter):
            memo[id(tensor)] = nn.Parameter(tensor.detach().to("meta"), tensor.requires_grad)
        else:
            memo[id(tensor)] = tensor.detach().to("meta")
    return copy.deepcopy(module, memo), tensors
