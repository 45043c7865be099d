"""Our attention kernel as an operator of torch, and as the student's attention: the C library on torch's current stream."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videoscene_rt.bench.native_renderer import open_kernels
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.export.rope import CatRopeProcessor

_FORMATS = {torch.float16: 0, torch.bfloat16: 1}
_HEAD = 64
_Strides = ctypes.c_int64 * 3


class AttentionConfig(ctypes.Structure):
    """videoscene_rt_kernels.h's VsrtAttentionConfig."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("batch", "heads", "queries", "keys", "format")),
        ("scale", ctypes.c_float),
        *((f"{name}_strides", _Strides) for name in ("query", "key", "value", "out")),
    )


@torch.library.custom_op("videoscene_rt::attention", mutates_args=())
def attention(query: Tensor, key: Tensor, value: Tensor, library: str) -> Tensor:
    """softmax(query·keyᵀ/8)·value by the library's kernel.

    Args:
        query, key, value: float16 or bfloat16 [B,heads,N,64], channels beside each other; any other strides.
        library: its path.

    Returns:
        [B,heads,N,64] whose heads lie beside each other in memory, so that they are joined without a copy.

    Raises:
        BackendError: the kernel refuses, or the tensors are of another kind.
    """
    batch, heads, queries, channels = query.shape
    if query.dtype not in _FORMATS or channels != _HEAD:
        raise BackendError(f"the attention kernel has no {query.dtype} with heads of {channels} channels")
    query, key, value = (tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in (query, key, value))
    out = _empty(query)
    config = AttentionConfig(
        batch=batch, heads=heads, queries=queries, keys=key.shape[2], format=_FORMATS[query.dtype], scale=_HEAD**-0.5
    )
    for name, tensor in (("query", query), ("key", key), ("value", value), ("out", out)):
        setattr(config, f"{name}_strides", _Strides(*tensor.stride()[:3]))
    stream = torch.cuda.current_stream().cuda_stream if query.is_cuda else 0
    loaded = _opened(library)
    pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (query, key, value, out))
    status = loaded.vsrt_attention_enqueue(ctypes.byref(config), *pointers, ctypes.c_void_p(stream))
    if status:
        words = loaded.vsrt_status_string(status).decode()
        raise BackendError(f"the kernels' library refused attention: {words} (status {status})")
    return out


@attention.register_fake
def _shapes(query: Tensor, key: Tensor, value: Tensor, library: str) -> Tensor:
    return _empty(query)


def _empty(query: Tensor) -> Tensor:
    batch, heads, queries, channels = query.shape
    return query.new_empty((batch, queries, heads, channels)).transpose(1, 2)


@lru_cache
def _opened(library: str) -> Any:
    return open_kernels(Path(library))


class KernelProcessor(CatRopeProcessor):
    """The student's attention with the kernel in the place of scaled_dot_product_attention."""

    def __init__(self, library: Path) -> None:
        self.library = str(library)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `CatRopeProcessor.attend`."""
        mixed: Tensor = attention(query, key, value, self.library)
        return mixed
