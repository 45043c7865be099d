"""Weights are stored once, in the checkpoint's dtype, in files that the graphs share.

Two graphs of one family (a decoder's first and next chunk, say) hold the same tensors. Each tensor is written by its content:
the second graph that brings the same bytes refers to the first one's place in the file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir

INLINE_LIMIT = 1024
_ALIGNMENT = 64
_PAGE = 4096
_NARROW = {
    "float16": (np.dtype(np.float16), ir.DataType.FLOAT16),
    "bfloat16": (np.dtype(ml_dtypes.bfloat16), ir.DataType.BFLOAT16),
}


@dataclass
class WeightFile:
    """An append-only file of tensors, addressed by content.

    Attributes:
        folder: the bundle's folder.
        name: path of the file inside it.
        dtype: dtype in which float32 tensors are stored where it holds them exactly: "float32", "float16" or "bfloat16".
    """

    folder: Path
    name: str
    dtype: str = "float32"
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)
    _end: int = 0

    def take(self, model: ir.Model) -> None:
        """Move the initializers of a model into this file; those under 1 KiB stay in the graph."""
        for value in list(model.graph.initializers.values()):
            tensor = value.const_value
            if tensor is None or tensor.nbytes < INLINE_LIMIT:
                continue
            array = tensor.numpy()
            narrow = self._narrowed(array)
            if narrow is None:
                value.const_value = self._external(value.name or "", array, tensor.dtype)
            else:
                self._replace_by_cast(model, value, *narrow)

    def _narrowed(self, array: np.ndarray) -> tuple[np.ndarray, ir.DataType] | None:
        if self.dtype == "float32" or array.dtype != np.float32:
            return None
        dtype, onnx_dtype = _NARROW[self.dtype]
        narrow = array.astype(dtype)
        same = np.array_equal(narrow.astype(np.float32), array)
        return (narrow, onnx_dtype) if same else None

    def _replace_by_cast(self, model: ir.Model, value: ir.Value, array: np.ndarray, dtype: ir.DataType) -> None:
        name = value.name or ""
        stored = ir.Value(
            name=f"{name}.{self.dtype}",
            type=ir.TensorType(dtype),
            shape=ir.Shape(array.shape),
            const_value=self._external(f"{name}.{self.dtype}", array, dtype),
        )
        cast = ir.node("Cast", [stored], attributes={"to": ir.DataType.FLOAT}, name=f"{name}/cast")
        cast.outputs[0].type, cast.outputs[0].shape = value.type, value.shape
        value.replace_all_uses_with(cast.outputs[0])
        del model.graph.initializers[name]
        cast.outputs[0].name = name
        model.graph.initializers.add(stored)
        model.graph.insert_before(model.graph[0], cast)

    def _external(self, name: str, array: np.ndarray, dtype: ir.DataType) -> ir.ExternalTensor:
        data = np.ascontiguousarray(array).tobytes()
        key = hashlib.sha256(data).hexdigest()
        if key not in self._places:
            self._places[key] = (self._append(data), len(data))
        offset, length = self._places[key]
        return ir.ExternalTensor(
            self.name, offset, length, dtype, shape=ir.Shape(array.shape), name=name, base_dir=self.folder
        )

    def _append(self, data: bytes) -> int:
        alignment = _PAGE if len(data) >= 1 << 20 else _ALIGNMENT
        start = -(-self._end // alignment) * alignment
        path = self.folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b"\0" * (start - self._end))
            file.write(data)
        self._end = start + len(data)
        return start
