"""Weights are stored once, in the checkpoint's dtype, in files that the graphs share.

Two graphs of one family (a decoder's first and next chunk, say) hold the same tensors. Each tensor is written by its content:
the second graph that brings the same bytes refers to the first one's place in the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch

from videoscene_rt.export.memory import trim

INLINE_LIMIT = 1024
_ALIGNMENT = 64
_PAGE = 4096
_PIECE = 8 << 20
_LARGE = 1 << 20
_NARROW = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_ONNX = {
    torch.float32: ir.DataType.FLOAT,
    torch.float16: ir.DataType.FLOAT16,
    torch.bfloat16: ir.DataType.BFLOAT16,
    torch.float64: ir.DataType.DOUBLE,
    torch.int64: ir.DataType.INT64,
    torch.int32: ir.DataType.INT32,
    torch.uint8: ir.DataType.UINT8,
    torch.bool: ir.DataType.BOOL,
}

_TORCH = {onnx: dtype for dtype, onnx in _ONNX.items()}

Readers = Mapping[str, Callable[[], torch.Tensor]]
"""Gives the numbers of each initializer that has no value yet, by its name."""
Stored = Mapping[str, ir.TensorProtocol]
"""Where the numbers of an initializer are, by its name."""


@dataclass
class WeightFile:
    """An append-only file of tensors, addressed by content. One tensor at a time is in memory.

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

    def take(
        self, model: ir.Model, readers: Readers | None = None, on_bytes: Callable[[int], None] = lambda count: None
    ) -> Stored:
        """Move the initializers of a model into this file; those under 1 KiB, and those that lie in a file already, stay.

        Args:
            model: changed in place.
            readers: for initializers that have no value.
            on_bytes: told the bytes of each of those, as they are stored.

        Returns:
            Where the numbers of those are, by the name that the initializer had.
        """
        stored: dict[str, ir.TensorProtocol] = {}
        for value in list(model.graph.initializers.values()):
            name = value.name or ""
            if value.const_value is None:
                stored[name] = self._stored(value, (readers or {})[name]())
                if stored[name].nbytes >= _LARGE:
                    trim()
                on_bytes(stored[name].nbytes)
                hold(model, value, stored[name])
            elif value.const_value.nbytes >= INLINE_LIMIT and not isinstance(value.const_value, ir.ExternalTensor):
                hold(model, value, self._stored(value, torch.from_numpy(np.array(value.const_value.numpy()))))
        return stored

    def _stored(self, value: ir.Value, tensor: torch.Tensor) -> ir.TensorProtocol:
        """The numbers of an initializer, in the file or, if they are few, in the graph."""
        name, wanted = value.name or "", _TORCH[value.dtype or ir.DataType.UNDEFINED]
        if tensor.numel() * wanted.itemsize < INLINE_LIMIT:
            return ir.Tensor(tensor.to(wanted).numpy(), name=name)
        narrow = self._narrowed(tensor) if wanted == torch.float32 else None
        return self._external(name, tensor.to(wanted) if narrow is None else narrow)

    def _narrowed(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """The tensor in the file's narrow dtype, where that holds it exactly."""
        dtype = _NARROW.get(self.dtype)
        if dtype is None or tensor.dtype == dtype:
            return None if dtype is None else tensor
        narrow = tensor.to(dtype)
        return narrow if torch.equal(narrow.to(torch.float32), tensor.to(torch.float32)) else None

    def _external(self, name: str, tensor: torch.Tensor) -> ir.ExternalTensor:
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data
        key = hashlib.sha256(data).hexdigest()
        if key not in self._places:
            self._places[key] = (self._append(data), len(data))
        offset, length = self._places[key]
        return ir.ExternalTensor(
            self.name,
            offset,
            length,
            _ONNX[tensor.dtype],
            shape=ir.Shape(tensor.shape),
            name=name,
            base_dir=self.folder,
        )

    def _append(self, data: memoryview) -> int:
        alignment = _PAGE if len(data) >= 1 << 20 else _ALIGNMENT
        start = -(-self._end // alignment) * alignment
        path = self.folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b"\0" * (start - self._end))
            for begin in range(0, len(data), _PIECE):
                file.write(data[begin : begin + _PIECE])
        self._end = start + len(data)
        return start


def hold(model: ir.Model, value: ir.Value, stored: ir.TensorProtocol) -> None:
    """Give an initializer its numbers; where they are stored in a narrower dtype, a Cast makes them its own."""
    if stored.dtype == value.dtype:
        value.const_value = stored
        return
    name, dtype = value.name or "", stored.dtype.name.lower()
    narrow = ir.Value(
        name=f"{name}.{dtype}", type=ir.TensorType(stored.dtype), shape=ir.Shape(stored.shape), const_value=stored
    )
    cast = ir.node("Cast", [narrow], attributes={"to": value.dtype}, name=f"{name}/cast")
    cast.outputs[0].type, cast.outputs[0].shape = value.type, value.shape
    value.replace_all_uses_with(cast.outputs[0])
    del model.graph.initializers[name]
    cast.outputs[0].name = name
    model.graph.initializers.add(narrow)
    model.graph.insert_before(model.graph[0], cast)
