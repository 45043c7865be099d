"""A graph that the device's backend cannot run, run by ONNX Runtime's CPU provider between two copies. Named in the build's report."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.engine import Context, Engine, TensorView, dtype_name
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.specs import Signature


class Copier(Protocol):
    """Copies between host arrays and a device's memory, in the order of the backend's own stream."""

    @property
    def stream_handle(self) -> int:
        """That stream's."""

    def settle(self, handle: int) -> None:
        """Wait for everything on another stream."""

    def upload(self, pointer: int, array: npt.NDArray[Any]) -> None:
        """Host to device; the array may be changed on return."""

    def download(self, pointer: int, array: npt.NDArray[Any]) -> None:
        """Device to host, after everything enqueued before; waits."""


class HostedEngine:
    """An engine on the host whose contexts are bound to a device's memory.

    Args:
        engine: on the host.
        copier: the device's.
        device: what its views call it: "cuda".
    """

    def __init__(self, engine: Engine, copier: Copier, device: str) -> None:
        self._engine = engine
        self._copier = copier
        self._device = device

    @property
    def spec(self) -> Signature:
        """See `Engine.spec`."""
        return self._engine.spec

    scratch_bytes = 0

    def context(self, scratch: int | None = None) -> HostedContext:
        """See `Engine.context`; it holds a host copy of every tensor."""
        return HostedContext(self._engine.context(), self._engine.spec, self._copier, self._device)


class HostedContext:
    """One use of a hosted engine. A step of it waits: it cannot be captured into a CUDA graph."""

    def __init__(self, context: Context, spec: Signature, copier: Copier, device: str) -> None:
        self._context = context
        self._spec = spec
        self._copier = copier
        self._device = device
        self._host = {tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in (*spec.inputs, *spec.outputs)}
        for name, array in self._host.items():
            context.bind(name, TensorView.of_numpy(array))
        self._views: dict[str, TensorView] = {}

    def bind(self, name: str, view: TensorView) -> None:
        """See `Context.bind`."""
        array = self._host.get(name)
        if array is None:
            raise BackendError(f"graph {self._spec.name} has no input or output {name!r}")
        if (view.device, view.dtype, view.shape) != (self._device, dtype_name(array.dtype), array.shape):
            found = f"{view.dtype}{list(view.shape)} on {view.device}"
            raise BackendError(
                f"graph {self._spec.name} wants {name}: {array.dtype}{list(array.shape)} on {self._device}, not {found}"
            )
        self._views[name] = view

    def enqueue(self, stream: int | None = None) -> None:
        """Copy in, run, copy out, and return when done. See `Context.enqueue`.

        Another stream than the backend's own is waited for first.

        Raises:
            BackendError: something is not bound, the stream is being captured, or the graph failed.
        """
        if stream is not None and stream != self._copier.stream_handle:
            self._copier.settle(stream)
        missing = [name for name in self._host if name not in self._views]
        if missing:
            raise BackendError(f"graph {self._spec.name}: not bound: {', '.join(missing)}")
        for tensor in self._spec.inputs:
            self._copier.download(self._views[tensor.name].pointer, self._host[tensor.name])
        self._context.enqueue()
        for tensor in self._spec.outputs:
            self._copier.upload(self._views[tensor.name].pointer, self._host[tensor.name])
