"""Numbers from a seed for modules on the meta device: those that `videoscene_rt.bench.published.weights.made` gives the same modules."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from videoscene_rt.bench.published.weights import Draw
from videoscene_rt.export.numbers import Numbers


class DrawnNumbers(Numbers):
    """Tensors in half precision, drawn on the device when they are read, one at a time.

    Args:
        modules: each draws its tensors under the names that it has for them.
        draw: the device and the seed. dtype: in which they are drawn; one drawn in another has other numbers.
    """

    def __init__(self, modules: tuple[nn.Module, ...], draw: Draw, dtype: torch.dtype) -> None:
        super().__init__()
        self._draw, self._dtype = draw, dtype
        every = ((module.named_parameters(), module.named_buffers()) for module in modules)
        found = [pair for named in every for part in named for pair in part]
        self._tensors = [tensor for _, tensor in found]  # or another could get the identity of one that is gone
        self.names: Mapping[int, str] = {id(tensor): name for name, tensor in found}

    def read(self, tensor: Tensor) -> Tensor:
        """See `Numbers.read`."""
        if not tensor.is_meta:
            return tensor.detach().cpu()
        if id(tensor) not in self.names:
            return super().read(tensor)
        return self.drawn(self.names[id(tensor)], tuple(tensor.shape)).cpu()

    def drawn(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor of a name, on the device."""
        out = torch.empty(shape, dtype=self._dtype, device=self._draw.device)
        self._draw.fill(name, out)
        return out
