"""Stand-ins for TensorRT's objects and for the builder's process, where the real ones need a GPU or a crash on demand."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

WORKER = Path(__file__).with_name("fake_worker.py")


def worker(mode: str, folder: Path) -> Sequence[str]:
    """The command of a fake worker; ``folder`` is where it counts its runs and notes its processes."""
    return (sys.executable, str(WORKER), mode, str(folder))


@dataclass
class Tensor:
    """A tensor of a network."""

    name: str
    dtype: str = "FLOAT"
    is_shape_tensor: bool = False
    allowed_formats: int = 0b11


@dataclass
class Layer:
    """A layer of a network that remembers what it was told."""

    name: str
    type: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    metadata: str = ""
    precision: Any = None
    output_types: dict[int, Any] = field(default_factory=dict)

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    @property
    def num_outputs(self) -> int:
        return len(self.outputs)

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]

    def get_output(self, index: int) -> Tensor:
        return self.outputs[index]

    def set_output_type(self, index: int, dtype: Any) -> None:
        self.output_types[index] = dtype


class Network:
    """An INetworkDefinition of given layers."""

    def __init__(self, layers: list[Layer], outputs: list[Tensor], inputs: Sequence[Tensor] = ()) -> None:
        self._layers, self._outputs, self._inputs = layers, outputs, inputs
        self.num_layers, self.num_outputs, self.num_inputs = len(layers), len(outputs), len(inputs)

    def get_layer(self, index: int) -> Layer:
        return self._layers[index]

    def get_output(self, index: int) -> Tensor:
        return self._outputs[index]

    def get_input(self, index: int) -> Tensor:
        return self._inputs[index]


MODULE = SimpleNamespace(
    __version__="8.6.1", float32="FLOAT", float16="HALF", TensorFormat=SimpleNamespace(LINEAR=0, CHW2=1)
)


class Engine:
    """An ICudaEngine with given tensors: (name, mode, dtype, shape)."""

    def __init__(self, *tensors: tuple[str, str, str, tuple[int, ...]]) -> None:
        self._tensors = {tensor[0]: tensor for tensor in tensors}
        self.num_io_tensors = len(tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> str:
        return f"TensorIOMode.{self._tensors[name][1]}"

    def get_tensor_dtype(self, name: str) -> str:
        return f"DataType.{self._tensors[name][2]}"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._tensors[name][3]
