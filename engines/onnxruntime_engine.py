"""ONNX Runtime behind the engine interface: the reference, and the embedded default where there is no GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from videoscene_rt.engines.arguments import checked_threads
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.caches import as_built
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.host_device import HostDevice
from videoscene_rt.engines.memory import HostMemory
from videoscene_rt.engines.specs import GraphSpec, TensorSpec
from videoscene_rt.engines.store.identity import EngineIdentity
from videoscene_rt.engines.store.located import Locator, reference

if TYPE_CHECKING:
    import onnxruntime

_ERROR_LEVEL = 3
_ONNX_TYPES = {
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "uint8": "tensor(uint8)",
    "int32": "tensor(int32)",
}


class OnnxRuntimeBackend:
    """ONNX Runtime's CPU provider.

    Args:
        threads: threads for one operator, at most four times the cores; None lets ONNX Runtime take every core.
        locate: finds what runs a graph; by default the bundle's own FP32 graphs, the reference.

    Raises:
        InputError: threads is out of range.
        BackendError: onnxruntime is not installed.
    """

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, threads: int | None = None, locate: Locator = reference) -> None:
        self._threads = checked_threads(threads)
        self._device = HostDevice()
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError("ONNX Runtime is not installed", "pip install 'videoscene-rt[cpu]'") from error
        self._ort = onnxruntime
        self._locate = locate

    @property
    def versions(self) -> dict[str, str]:
        """ONNX Runtime's version."""
        return {"onnxruntime": str(self._ort.__version__)}

    @property
    def runs_on(self) -> HostDevice:
        """See `Backend.runs_on`."""
        return self._device

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> HostMemory:
        """Host memory; see `Backend.allocate`."""
        return HostMemory(dtype, shape)

    def synchronize(self) -> None:
        """Nothing to wait for: `OnnxRuntimeContext.enqueue` returns when it is done."""

    def load(self, bundle: Bundle, graph: str) -> OnnxRuntimeEngine:
        """Open a session over a graph of the bundle, or over the engine that was built of it; see `Backend.load`."""
        located = self._locate(bundle, graph)
        path = located.verified()
        with located.loading():
            session = self.session(str(path))
            engine = OnnxRuntimeEngine(session, as_built(bundle, graph, half_tensors(session)))
        engine.identity = None if located.engine is None else located.engine.identity
        return engine

    def session(self, path: str, arena: bool = True) -> onnxruntime.InferenceSession:
        """A session over an ONNX file; without an arena it gives back what it frees at once, and is slower.

        Raises:
            BackendError: ONNX Runtime refuses the file.
        """
        options = self._ort.SessionOptions()
        options.log_severity_level = _ERROR_LEVEL
        options.intra_op_num_threads = self._threads or 0
        options.enable_cpu_mem_arena = arena
        options.enable_mem_pattern = False  # its block planned ahead doubles the renderer's peak and saves no time
        # Sessions run one after the other: a pool that spins after its turn takes the cores from the next one's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return self._ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class of its own
            raise BackendError(
                f"ONNX Runtime {self._ort.__version__} cannot load {path}: {_first_line(error)}"
            ) from error


class OnnxRuntimeEngine:
    """One session; it is checked against the specification when it is made.

    Raises:
        BackendError: the ONNX file does not have the inputs and outputs that the manifest promises.
    """

    identity: EngineIdentity | None = None
    """Of a built engine; None for the bundle's own graph."""

    def __init__(self, session: onnxruntime.InferenceSession, spec: GraphSpec) -> None:
        self._session = session
        self.spec = spec
        _check(spec.name, "inputs", session.get_inputs(), spec.inputs)
        _check(spec.name, "outputs", session.get_outputs(), spec.outputs)

    scratch_bytes = 0

    def context(self, scratch: int | None = None) -> OnnxRuntimeContext:
        """A new binding over this session, which sees to its scratch memory itself."""
        return OnnxRuntimeContext(self._session, self.spec)


class OnnxRuntimeContext:
    """Inputs and outputs of one session bound to fixed memory.

    Args:
        session: checked against ``spec``.
        spec: what it takes and gives.
        device: where the memory lies, as `TensorView.device` says it.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        spec: GraphSpec,
        device: str = "cpu",
    ) -> None:
        self._session = session
        self._spec = spec
        self._device = device
        self._binding = session.io_binding()
        self._inputs = {tensor.name: tensor for tensor in spec.inputs}
        self._outputs = {tensor.name: tensor for tensor in spec.outputs}
        self._views: dict[str, TensorView] = {}

    def bind(self, name: str, view: TensorView) -> None:
        """See `Context.bind`."""
        bind = self._binding.bind_input if name in self._inputs else self._binding.bind_output
        expected = self._inputs.get(name) or self._outputs.get(name)
        if expected is None:
            raise BackendError(f"graph {self._spec.name} has no input or output {name!r}")
        if (view.device, view.dtype, view.shape) != (self._device, expected.dtype, expected.shape):
            found = f"{view.dtype}{list(view.shape)} on {view.device}"
            raise BackendError(f"graph {self._spec.name} wants {expected} on {self._device}, not {found}")
        bind(name, view.device, 0, np.dtype(view.dtype), list(view.shape), view.pointer)
        self._views[name] = view

    def enqueue(self, stream: int | None = None) -> None:
        """Run, and return when done. See `Context.enqueue`."""
        missing = [name for name in (*self._inputs, *self._outputs) if name not in self._views]
        if missing:
            raise BackendError(f"graph {self._spec.name}: not bound: {', '.join(missing)}")
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # as above
            raise BackendError(f"graph {self._spec.name} failed in ONNX Runtime: {_first_line(error)}") from error


def half_tensors(session: onnxruntime.InferenceSession) -> frozenset[str]:
    """The inputs and outputs of a session that are float16."""
    tensors = (*session.get_inputs(), *session.get_outputs())
    return frozenset(tensor.name for tensor in tensors if tensor.type == _ONNX_TYPES["float16"])


def _check(graph: str, kind: str, found: list[Any], expected: tuple[TensorSpec, ...]) -> None:
    have = [(arg.name, arg.type, tuple(arg.shape)) for arg in found]
    want = [(tensor.name, _ONNX_TYPES[tensor.dtype], tensor.shape) for tensor in expected]
    if have != want:
        odd = next((pair for pair in zip(have, want, strict=False) if pair[0] != pair[1]), (len(have), len(want)))
        raise BackendError(
            f"graph {graph}: its {kind} are not the manifest's: {odd[0]} instead of {odd[1]}", "export the bundle again"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
