"""Attention as an engine: attention.cu, on Hopper attention_hopper.cu, compiled for the device, behind every graph's interface."""

from __future__ import annotations

import ctypes
from math import e, log2
from typing import TYPE_CHECKING

from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.kernels.attention_plan import HOPPER, AttentionSizes, HopperTuning, Tuning, tuning_for
from videoscene_rt.engines.kernels.bindings import Bindings
from videoscene_rt.engines.kernels.compile import load_kernels
from videoscene_rt.engines.kernels.launch import Launch
from videoscene_rt.engines.specs import Signature, TensorSpec

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice

_KERNEL = "vsrt_attention"
_BOUND = ("query", "key", "value", "out")
_LEAST_CAPABILITY = 8
_FREE_SHARED_BYTES = 48 * 1024


class AttentionArguments(ctypes.Structure):
    """attention.cu's struct of that name."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in _BOUND),
        *((f"{name}_{axis}", ctypes.c_int64) for name in _BOUND for axis in ("batch", "head", "token")),
        *((name, ctypes.c_int32) for name in ("batch", "heads", "queries", "keys")),
        ("scale", ctypes.c_float),
    )


class AttentionEngine:
    """The kernel for float16 tensors of one size.

    Args:
        device: where it runs; compute capability 8.0 or later.
        sizes: of the tensors.
        tuning: what changes its speed, and the result by rounding alone; None: what is best for the device.

    Raises:
        BackendError: the device is too old, or refuses the kernel, or the tuning is for another one.
    """

    scratch_bytes = 0
    """See `Engine.scratch_bytes`: scores stay in registers."""

    def __init__(self, device: CudaDevice, sizes: AttentionSizes, tuning: Tuning | None = None) -> None:
        if int(device.compute_capability.split(".")[0]) < _LEAST_CAPABILITY:
            raise BackendError(
                f"attention cannot run on {device.name}: its compute capability is {device.compute_capability}",
                "the kernel needs 8.0 or later",
            )
        self.spec = attention_signature(sizes)
        self.sizes = sizes
        self.tuning = tuning or tuning_for(device.compute_capability)
        hopper = isinstance(self.tuning, HopperTuning)
        if hopper and device.compute_capability != HOPPER:
            raise BackendError(f"{self.tuning} is for compute capability {HOPPER}, which {device.name} does not have")
        self._device = device
        self._function = load_kernels(
            device, self.tuning.source, (_KERNEL,), self.tuning.defines, "a" if hopper else ""
        )[_KERNEL]
        if self.tuning.shared_bytes > _FREE_SHARED_BYTES:
            attribute = device.driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            device.call("cuFuncSetAttribute", self._function, attribute, self.tuning.shared_bytes)

    def context(self, scratch: int | None = None) -> AttentionContext:
        """See `Engine.context`."""
        return AttentionContext(self._device, self._function, self.spec, self.sizes, self.tuning)


class AttentionContext:
    """One use of the kernel over fixed memory. Addresses are multiples of 16 bytes."""

    def __init__(
        self, device: CudaDevice, function: int, spec: Signature, sizes: AttentionSizes, tuning: Tuning
    ) -> None:
        self._device = device
        self._bound = Bindings(spec, "cuda")
        self._arguments = attention_arguments(sizes)
        self._launch = Launch(
            device, function, tuning.grid(sizes), tuning.threads, (self._arguments,), tuning.shared_bytes
        )

    def bind(self, name: str, view: TensorView) -> None:
        """See `Context.bind`."""
        self._bound.bind(name, view)
        setattr(self._arguments, name, view.pointer)

    def enqueue(self, stream: int | None = None) -> None:
        """See `Context.enqueue`; without a stream, on the device's own."""
        self._bound.check_complete()
        self._device.use()
        self._launch(self._device.stream_handle if stream is None else stream)


def attention_signature(sizes: AttentionSizes) -> Signature:
    """What the kernel takes and gives: query, key and value to out, float16."""
    rows = (("query", sizes.queries), ("key", sizes.keys), ("value", sizes.keys), ("out", sizes.queries))
    tensors = [TensorSpec(name=n, dtype="float16", shape=sizes.shape(tokens), meaning=n) for n, tokens in rows]
    return Signature(name="attention", inputs=tuple(tensors[:3]), outputs=tuple(tensors[3:]))


def attention_arguments(sizes: AttentionSizes) -> AttentionArguments:
    """The kernel's arguments but for the addresses."""
    arguments = AttentionArguments(
        batch=sizes.batch, heads=sizes.heads, queries=sizes.queries, keys=sizes.keys, scale=sizes.scale * log2(e)
    )
    for name in _BOUND:
        tokens = sizes.keys if name in ("key", "value") else sizes.queries
        for axis, stride in zip(("batch", "head", "token"), sizes.strides(tokens), strict=True):
            setattr(arguments, f"{name}_{axis}", stride)
    return arguments
