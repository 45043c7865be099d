"""Where the numbers of a module come from: a checkpoint's files or a seed, one tensor at a time.

A module on the meta device has names and shapes and takes no memory; a source gives each of its tensors when it is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from videoscene_rt.engines.errors import InputError
from videoscene_rt.export.safetensors_file import TensorPlace
from videoscene_rt.export.seeding import seeded_array

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class TensorSource(Protocol):
    """The tensors of one module, by their names in its ``state_dict``."""

    @property
    def dtype(self) -> str:
        """The dtype to store them in: the one that all floating tensors share, else "float32"."""

    def read(self, name: str) -> torch.Tensor:
        """One tensor in the module's shape, on the CPU, in the dtype in which it is kept; InputError if it cannot be read."""


def dtype_name(dtypes: Collection[torch.dtype]) -> str:
    """The dtype that all share; "float32" if they differ or it is none of float16 and bfloat16."""
    kinds = set(dtypes)
    return _NAMES.get(kinds.pop(), "float32") if len(kinds) == 1 else "float32"


@dataclass(frozen=True)
class StoredTensors:
    """Tensors of safetensors files.

    Attributes:
        places: where each lies, by the module's name for it.
        otherwise: gives what no file has.
    """

    places: Mapping[str, TensorPlace]
    otherwise: TensorSource | None = None

    @property
    def dtype(self) -> str:
        """See `TensorSource.dtype`."""
        return dtype_name({place.dtype for place in self.places.values() if place.dtype.is_floating_point})

    def read(self, name: str) -> torch.Tensor:
        """See `TensorSource.read`.

        Raises:
            InputError: the file cannot be read, or the tensor holds values that are not finite.
        """
        place = self.places.get(name)
        if place is None and self.otherwise is not None:
            return self.otherwise.read(name)
        if place is None:
            raise InputError(f"the checkpoint has no tensor {name}")
        tensor = place.read()
        if tensor.is_floating_point() and tensor.itemsize > 1 and not all_finite(tensor):
            raise InputError(
                f"{place.file}: {place.name} holds values that are not finite", "train or convert the checkpoint again"
            )
        return tensor


@dataclass(frozen=True)
class SeededTensors:
    """Tensors made from a seed (`videoscene_rt.export.seeding`); buffers as the architecture starts them.

    Attributes:
        shapes: of the parameters, by name.
        seed: see `seeded_array`.
        prefix: put before each name.
        dtype: "float32", or the dtype to which they are rounded.
        buffers: makes what is no parameter, by name.
        after: changes a parameter once it is made: name, tensor → tensor.
    """

    shapes: Mapping[str, tuple[int, ...]]
    seed: int
    prefix: str
    dtype: str = "float32"
    buffers: Mapping[str, Callable[[], torch.Tensor]] = field(default_factory=dict)
    after: Callable[[str, torch.Tensor], torch.Tensor] = lambda name, tensor: tensor

    @classmethod
    def of(cls, module: nn.Module, seed: int, prefix: str, dtype: str = "float32") -> SeededTensors:
        """For a module, which may be on the meta device; its persistent buffers must then be given by ``buffers``."""
        return cls({name: tuple(value.shape) for name, value in module.named_parameters()}, seed, prefix, dtype)

    def read(self, name: str) -> torch.Tensor:
        """See `TensorSource.read`."""
        if name in self.buffers:
            return self.buffers[name]().to(DTYPES[self.dtype])
        made = torch.from_numpy(seeded_array(self.prefix + name, self.shapes[name], self.seed))
        return self.after(name, made).to(DTYPES[self.dtype])


def all_finite(tensor: torch.Tensor) -> bool:
    """Whether no value is NaN or infinite; looks at a piece at a time, so that it takes no memory to speak of."""
    return all(bool(torch.isfinite(piece).all()) for piece in tensor.flatten().split(1 << 20))


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of a module's ``state_dict``."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def fill(module: nn.Module, source: TensorSource) -> None:
    """Give a module float32 copies of its tensors; they are read one after the other."""
    with torch.no_grad():
        for name, tensor in module.state_dict(keep_vars=True).items():
            tensor.copy_(source.read(name))
