"""A .safetensors file's tensors by name and place, read one at a time and never mapped: reading gigabytes keeps the memory small.

The format: eight bytes little-endian, the length of a JSON header; the header, tensor → dtype, shape, offsets; then the data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch

from videoscene_rt.engines.errors import InputError

_HEADER_LIMIT = 100 << 20
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_PICKLES = ".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"
_CONVERT = "convert it on a machine that trusts it: safetensors.torch.save_file(tensors, 'model.safetensors')"


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies.

    Attributes:
        file: the .safetensors file.
        name: the tensor's name there.
        dtype: of its elements, as stored.
        shape: its sizes.
        offset: bytes from the beginning of the file.
    """

    file: Path
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return prod(self.shape) * self.dtype.itemsize

    def read(self) -> torch.Tensor:
        """The tensor, in memory of its own, in its stored dtype.

        Raises:
            InputError: the file has become shorter, or cannot be read.
        """
        data = bytearray(self.nbytes)
        try:
            with self.file.open("rb", buffering=0) as file:
                file.seek(self.offset)
                view = memoryview(data)
                while view:
                    count = file.readinto(view)
                    if not count:
                        raise InputError(f"{self.file} ends before {self.name} does", "copy the file again")
                    view = view[count:]
        except OSError as error:
            raise InputError(f"{self.file} cannot be read: {error.strerror}") from error
        if not data:
            return torch.empty(self.shape, dtype=self.dtype)
        return torch.frombuffer(data, dtype=self.dtype).reshape(self.shape)


def tensor_places(path: Path) -> dict[str, TensorPlace]:
    """The places of all tensors of a file, by name; reads its header alone.

    Raises:
        InputError: it is missing, a pickle, no safetensors file, or truncated.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            whole = len(start) == 8 and 2 <= length <= min(size - 8, _HEADER_LIMIT)
            header = file.read(length) if whole else b""
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not whole or not header.startswith(b"{"):
        raise _not_safetensors(path, start)
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        places = {name: _place(path, name, entry, 8 + length, size) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not a readable safetensors file: {_words(error)}") from error
    end = 8 + length
    for place in sorted(places.values(), key=lambda place: (place.offset, place.nbytes)):
        if place.offset != end:
            raise InputError(f"{path} is not a readable safetensors file: {place.name} does not follow the one before")
        end += place.nbytes
    if end != size:
        raise InputError(f"{path} is not a readable safetensors file: it has {size:,} bytes, its header says {end:,}")
    return places


def _place(path: Path, name: str, entry: dict[str, Any], start: int, size: int) -> TensorPlace:
    dtype, shape, (begin, end) = DTYPES.get(entry["dtype"]), entry["shape"], entry["data_offsets"]
    if dtype is None:
        raise ValueError(f"{name} has the dtype {entry['dtype']}")
    if not all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in (*shape, begin, end)):
        raise ValueError(f"{name} has a size or an offset that is no whole number")
    if end - begin != prod(shape) * dtype.itemsize or start + end > size:
        raise ValueError(f"{name} does not fit into the file: it was cut short, or is damaged")
    return TensorPlace(path, name, dtype, tuple(shape), start + begin)


def _not_safetensors(path: Path, start: bytes) -> InputError:
    pickled = path.suffix.lower() in _PICKLES or start[:4] == b"PK\x03\x04" or start[:1] == b"\x80"
    if pickled:
        return InputError(f"{path} is not a readable safetensors file but a pickle, which is never opened", _CONVERT)
    return InputError(f"{path} is not a readable safetensors file")


def _words(error: Exception) -> str:
    return f"its header lacks {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
