"""A torch module through torch.onnx.export into ONNX Runtime on the CPU, without this project's own tracing."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn


class Session:
    """An exported module: takes and gives NumPy arrays in the module's order."""

    def __init__(self, module: nn.Module, inputs: Sequence[Tensor], input_names: Sequence[str]) -> None:
        file = io.BytesIO()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not optimised: that takes a third of the time, and the export proves the optimised graph against the module.
            program = torch.onnx.export(
                module,
                tuple(inputs),
                dynamo=True,
                opset_version=18,
                input_names=list(input_names),
                optimize=False,
                verbose=False,
            )
        program.save(file)
        self._session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        names = [value.name for value in self._session.get_inputs()]
        return self._session.run(None, dict(zip(names, arrays, strict=True)))

    @property
    def input_names(self) -> list[str]:
        return [value.name for value in self._session.get_inputs()]

    @property
    def border_types(self) -> set[str]:
        """ONNX Runtime's names of the types of all inputs and outputs."""
        return {value.type for value in (*self._session.get_inputs(), *self._session.get_outputs())}

    @property
    def border_shapes(self) -> list[tuple[int | str, ...]]:
        """Shapes of all inputs, then of all outputs."""
        return [tuple(value.shape) for value in (*self._session.get_inputs(), *self._session.get_outputs())]


def relative_l2(value: np.ndarray, reference: np.ndarray) -> float:
    """‖value − reference‖ / ‖reference‖ in float64."""
    value, reference = np.asarray(value, np.float64), np.asarray(reference, np.float64)
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))
