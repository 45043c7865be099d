"""What a graph takes and gives: names, dtypes, shapes, meanings and units, as data in the manifest."""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

DType = Literal["float32", "float16", "uint8", "int32"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorSpec(_Data):
    """One input or output of a graph. Shapes are static; there are no INT64 inputs or outputs."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    dtype: DType
    shape: tuple[int, ...]
    meaning: str
    unit: str = ""

    @property
    def nbytes(self) -> int:
        """Size in bytes of the tensor, stored densely."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{','.join(map(str, self.shape))}]"


class Parity(_Data):
    """How far the ONNX graph, run by ONNX Runtime on the CPU, is from torch on the same fresh random inputs.

    Frames that a graph rounds to uint8 are compared with the reference's values before rounding, and only what goes beyond half a
    level counts: two right results may round a tie to either side, and nothing else is forgiven.
    """

    reference: str = Field(description="what was compared with, with its version")
    relative_l2: dict[str, float] = Field(description="‖graph − reference‖ / ‖reference‖ for each output")
    max_abs: dict[str, float] = Field(description="largest absolute difference for each output")
    limit: float = Field(description="the largest relative_l2 with which the export passes")
    scope: str = Field(default="", description="what was run instead of the whole; empty: the whole, in its own size")
    parts: dict[str, float] = Field(default_factory=dict, description="relative L2 of what else was run, by what it is")


class Signature(_Data):
    """What a graph, or a kernel of ours, takes and gives."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def input(self, name: str) -> TensorSpec:
        """The input of that name; KeyError if there is none."""
        return _named(self.inputs, name)

    def output(self, name: str) -> TensorSpec:
        """The output of that name; KeyError if there is none."""
        return _named(self.outputs, name)


class GraphSpec(Signature):
    """One traced ONNX file and its contract.

    ``state`` maps an output to the input that takes it in the next call of the same graph (the memory of a streaming graph).
    """

    file: str
    opset: int
    state: dict[str, str] = Field(default_factory=dict)
    parity: Parity


def _named(specs: tuple[TensorSpec, ...], name: str) -> TensorSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    raise KeyError(name)
