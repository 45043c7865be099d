"""TensorRT behind the engine interface: plans loaded from verified bytes, contexts with scratch memory of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.caches import as_built
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.cuda.memory import CudaMemory
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.specs import GraphSpec
from videoscene_rt.engines.tensorrt.capabilities import Capabilities, Package
from videoscene_rt.engines.tensorrt.log import reason
from videoscene_rt.engines.tensorrt.plan import PlanBytes, check_tensors, deserialize, half_tensors, package_with_log

PlanSource = Callable[[Bundle, str], PlanBytes]
"""Gives the bytes of a graph's plan, digest and identity verified; raises BackendError if there is none that fits."""

_ALIGNMENT = 256
"""Bytes, of every bound address (NvInferRuntime.h, setTensorAddress)."""


class TensorRtBackend:
    """Plans on the first CUDA device.

    Args:
        package: which TensorRT.
        plans: where plans come from; a mapping names files that the caller has verified.
        device: memory and stream; None opens device 0.

    Raises:
        BackendError: the package or cuda-core is not installed, or there is no GPU that it runs on.
    """

    device = "cuda"

    def __init__(
        self, package: Package, plans: PlanSource | Mapping[str, Path], device: CudaDevice | None = None
    ) -> None:
        self.name = package.replace("_", "-")
        self._package = package
        self._module, self._can, _ = package_with_log(package)
        self._plans = plans
        self.cuda = CudaDevice() if device is None else device
        runs_on, here = self._can.compute_capabilities, self.cuda.compute_capability
        if runs_on is not None and here not in runs_on:
            raise BackendError(
                f"{self.name} runs on compute capability {', '.join(runs_on)}, not on {here} ({self.cuda.name})",
                "use --backend tensorrt",
            )

    @property
    def versions(self) -> dict[str, str]:
        """The package's version, and that of CUDA in the driver."""
        return {self._package: str(self._module.__version__), "cuda-driver": self.cuda.cuda_version}

    def load(self, bundle: Bundle, graph: str) -> TensorRtEngine:
        """Load a graph's plan; see `Backend.load`. Nothing is built, and nothing takes a plan's place."""
        engine = deserialize(self._package, self._plan(bundle, graph), graph)
        return TensorRtEngine(self._package, engine, as_built(bundle, graph, half_tensors(engine)), self.cuda)

    @property
    def runs_on(self) -> CudaDevice:
        """See `Backend.runs_on`."""
        return self.cuda

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> CudaMemory:
        """Zeroed device memory; see `Backend.allocate`."""
        return self.cuda.allocate(dtype, shape)

    def synchronize(self) -> None:
        """Wait for everything on the backend's own stream."""
        self.cuda.synchronize()

    def _plan(self, bundle: Bundle, graph: str) -> PlanBytes:
        if not isinstance(self._plans, Mapping):
            return self._plans(bundle, graph)
        path = self._plans.get(graph)
        if path is None:
            raise BackendError(
                f"there is no plan of graph {graph}", f"vsrt build the bundle with --backend {self.name}"
            )
        return path.read_bytes()


class TensorRtEngine:
    """A deserialised plan whose inputs and outputs are the manifest's.

    Raises:
        BackendError: they are not.
    """

    def __init__(self, package: Package, engine: Any, spec: GraphSpec, device: CudaDevice) -> None:
        check_tensors(engine, spec)
        self._package = package
        self._engine = engine
        self._device = device
        self.spec = spec

    @property
    def scratch_bytes(self) -> int:
        """See `Engine.scratch_bytes`."""
        _, can, _ = package_with_log(self._package)
        return int(getattr(self._engine, can.device_memory_size))

    def context(self, scratch: int | None = None) -> TensorRtContext:
        """See `Engine.context`: contexts with scratch memory of their own may run at the same time."""
        return TensorRtContext(self._package, self._engine, self.spec, self._device, self.scratch_bytes, scratch)


class TensorRtContext:
    """One use of a plan over fixed device memory."""

    def __init__(
        self,
        package: Package,
        engine: Any,
        spec: GraphSpec,
        device: CudaDevice,
        scratch_bytes: int,
        scratch: int | None = None,
    ) -> None:
        module, can, self._log = package_with_log(package)
        self._spec = spec
        self._device = device
        before = self._log.count
        context = _create_context(module, can, engine)
        if context is None:
            raise BackendError(
                f"graph {spec.name}: no context: {reason(self._log.errors(before)) or 'it does not say why'}"
            )
        self._context = context
        if scratch is None or scratch_bytes == 0:
            # TensorRT wants an address even for nothing.
            scratch_bytes = max(scratch_bytes, _ALIGNMENT)
            self._scratch = device.allocate("uint8", (scratch_bytes,))
            scratch = self._scratch.pointer
        before = self._log.count
        _give_scratch(can, context, scratch, scratch_bytes)
        if self._log.count > before and self._log.errors(
            before
        ):  # of memory that it does not take it says so there alone
            raise BackendError(f"graph {spec.name}: no scratch memory: {reason(self._log.errors(before))}")
        self._tensors = {tensor.name: tensor for tensor in (*spec.inputs, *spec.outputs)}
        self._unbound = dict.fromkeys(self._tensors)
        self._views: dict[str, TensorView] = {}

    def bind(self, name: str, view: TensorView) -> None:
        """See `Context.bind`. The address is a multiple of 256 bytes."""
        expected = self._tensors.get(name)
        if expected is None:
            raise BackendError(f"graph {self._spec.name} has no input or output {name!r}")
        if (view.device, view.dtype, view.shape) != ("cuda", expected.dtype, expected.shape):
            found = f"{view.dtype}{list(view.shape)} on {view.device}"
            raise BackendError(f"graph {self._spec.name} wants {expected} on cuda, not {found}")
        if view.pointer % _ALIGNMENT:
            raise BackendError(f"graph {self._spec.name}: {name} must lie at a multiple of {_ALIGNMENT} bytes")
        before = self._log.count
        if not self._context.set_tensor_address(name, view.pointer):
            raise BackendError(f"graph {self._spec.name}: cannot bind {name}: {reason(self._log.errors(before))}")
        self._views[name] = view
        self._unbound.pop(name, None)

    def enqueue(self, stream: int | None = None) -> None:
        """See `Context.enqueue`; without a stream, on the backend's own."""
        if self._unbound:
            raise BackendError(f"graph {self._spec.name}: not bound: {', '.join(self._unbound)}")
        before = self._log.count
        if not self._context.execute_async_v3(self._device.stream_handle if stream is None else stream):
            raise BackendError(
                f"graph {self._spec.name} failed: {reason(self._log.errors(before)) or 'it does not say why'}"
            )


def _create_context(module: Any, can: Capabilities, engine: Any) -> Any:
    if can.sized_device_memory:
        return engine.create_execution_context(module.ExecutionContextAllocationStrategy.USER_MANAGED)
    return engine.create_execution_context_without_device_memory()


def _give_scratch(can: Capabilities, context: Any, pointer: int, size: int) -> None:
    if can.sized_device_memory:
        context.set_device_memory(pointer, size)
    else:
        context.device_memory = pointer
