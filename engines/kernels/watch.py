"""The watch: counts what is not finite in a step's latents and hands the host that count and the timestep."""

from __future__ import annotations

import ctypes
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.device import Device
from videoscene_rt.engines.engine import Context, Engine, TensorView
from videoscene_rt.engines.kernels.bindings import Bindings
from videoscene_rt.engines.specs import Signature, TensorSpec

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice

_THREADS = 256
_VALUES_A_THREAD = 16
_BLOCKS = 256
_STATE = 2


def watch_signature(latent_shape: tuple[int, ...]) -> Signature:
    """What the watch takes and gives."""
    return Signature(
        name="watch",
        inputs=(
            TensorSpec(name="z_0", dtype="float32", shape=latent_shape, meaning="the student's latents"),
            TensorSpec(name="timestep", dtype="int32", shape=(1,), meaning="chosen by the policy, 0 to 999"),
        ),
        outputs=(
            TensorSpec(
                name="status", dtype="int32", shape=(2,), meaning="values of z_0 that are not finite, and the timestep"
            ),
        ),
    )


def grid(count: int) -> tuple[int, int]:
    """Blocks and threads for so many values; right for fewer as well."""
    return max(1, min(-(-count // (_THREADS * _VALUES_A_THREAD)), _BLOCKS)), _THREADS


def watch_engine(device: Device, latent_shape: tuple[int, ...]) -> Engine:
    """The watch over latents of a shape on a device.

    Raises:
        BackendError: the kernel cannot be compiled.
    """
    if device.kind == "cpu":
        return HostWatch(latent_shape)
    from videoscene_rt.engines.cuda.device import CudaDevice

    return CudaWatch(cast(CudaDevice, device), latent_shape)


class HostWatch:
    """The watch in NumPy."""

    scratch_bytes = 0

    def __init__(self, latent_shape: tuple[int, ...]) -> None:
        self.spec = watch_signature(latent_shape)

    def context(self, scratch: int | None = None) -> Context:
        """See `Engine.context`."""
        return HostWatchContext(self.spec)


class HostWatchContext:
    """One use of it over fixed memory."""

    def __init__(self, spec: Signature) -> None:
        self._bound = Bindings(spec, "cpu")

    def bind(self, name: str, view: TensorView) -> None:
        """See `Context.bind`."""
        self._bound.bind(name, view)

    def enqueue(self, stream: int | None = None) -> None:
        """See `Context.enqueue`; returns when it is done."""
        self._bound.check_complete()
        z_0, timestep, status = (_array(self._bound[name]) for name in ("z_0", "timestep", "status"))
        status[:] = z_0.size - np.count_nonzero(np.isfinite(z_0)), timestep[0]


class CudaWatch:
    """The watch as a kernel."""

    scratch_bytes = 0
    """What it keeps between runs must stay zero, so it cannot be scratch: each context has eight bytes of its own."""

    def __init__(self, device: CudaDevice, latent_shape: tuple[int, ...]) -> None:
        from videoscene_rt.engines.kernels.compile import load_kernels

        self.spec = watch_signature(latent_shape)
        self._device = device
        self._function = load_kernels(device, "watch.cu", ("vsrt_watch",))["vsrt_watch"]

    def context(self, scratch: int | None = None) -> Context:
        """See `Engine.context`."""
        return CudaWatchContext(self._device, self._function, self.spec)


class CudaWatchContext:
    """One use of the kernel over fixed memory; ``status`` may be mapped host memory, bound by its device address."""

    def __init__(self, device: CudaDevice, function: int, spec: Signature) -> None:
        from videoscene_rt.engines.kernels.launch import Launch

        self._device = device
        self._bound = Bindings(spec, "cuda")
        self._state = device.allocate("int32", (_STATE,))
        device.synchronize()  # it is zero from here on, whatever stream the kernel runs on
        count = prod(spec.input("z_0").shape)
        self._pointers = {name: ctypes.c_void_p() for name in ("z_0", "timestep", "status")}
        state = ctypes.c_void_p(self._state.pointer)
        self._launch = Launch(
            device,
            function,
            *grid(count),
            (
                self._pointers["z_0"],
                ctypes.c_uint32(count),
                self._pointers["timestep"],
                self._pointers["status"],
                state,
            ),
        )

    def bind(self, name: str, view: TensorView) -> None:
        """See `Context.bind`."""
        self._bound.bind(name, view)
        self._pointers[name].value = view.pointer

    def enqueue(self, stream: int | None = None) -> None:
        """See `Context.enqueue`; without a stream, on the device's own."""
        self._bound.check_complete()
        self._device.use()
        self._launch(self._device.stream_handle if stream is None else stream)


def _array(view: TensorView) -> npt.NDArray[Any]:
    """A NumPy view of host memory, while the view's owner lives."""
    nbytes = prod(view.shape) * np.dtype(view.dtype).itemsize
    raw: Any = (ctypes.c_uint8 * nbytes).from_address(view.pointer)
    array: npt.NDArray[Any] = np.frombuffer(raw, view.dtype).reshape(view.shape)
    return array
