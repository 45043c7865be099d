"""Sessions of an ONNX Runtime provider that must run every node of a graph itself: nothing falls to the CPU without a word."""

from __future__ import annotations

import contextlib
import ctypes
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from videoscene_rt.engines.cuda.errors import first_line
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.onnxruntime_probe import IDENTITY

TWO_PACKAGES = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'videoscene-rt[ort-cuda]'"
"""The remedy where the package onnxruntime is in the way of onnxruntime-gpu: they overwrite each other's files."""

_INSTALL = "pip install 'videoscene-rt[ort-cuda]'"
_FATAL = 4
_REFUSED = "fallback to CPU EP has been explicitly disabled"
_NODES_NAMED = 4


@dataclass(frozen=True)
class Provider:
    """An execution provider: ONNX Runtime's name of it, and where its buffers live."""

    name: str
    device: Literal["cpu", "cuda"]


CUDA = Provider("CUDAExecutionProvider", "cuda")
HOST = Provider("CPUExecutionProvider", "cpu")
"""For rehearsing without a GPU."""


class MissingKernelsError(BackendError):
    """The provider cannot run some nodes of a graph; ``nodes`` names them, as far as ONNX Runtime says which."""

    def __init__(self, problem: str, nodes: str) -> None:
        super().__init__(problem)
        self.nodes = nodes


def open_onnxruntime(provider: Provider) -> Any:
    """Import ONNX Runtime.

    Raises:
        BackendError: it is not installed, or was built without the provider.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError("ONNX Runtime is not installed", _INSTALL) from error
    if provider.name not in onnxruntime.get_available_providers():
        raise BackendError(f"this ONNX Runtime {onnxruntime.__version__} has no provider {provider.name}", TWO_PACKAGES)
    if provider == CUDA and hasattr(onnxruntime, "preload_dlls"):
        # CUDA's libraries may have come as Python packages; what it cannot find it prints, and the session then says so too.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            onnxruntime.preload_dlls()
    return onnxruntime


def open_session(
    ort: Any, provider: Provider, path: Path | bytes, stream: int | None = None, *, fallback: bool = False
) -> Any:
    """An InferenceSession over an ONNX file.

    Args:
        ort: from `open_onnxruntime`.
        provider: what runs it.
        path: the file, or its bytes.
        stream: the CUDA stream that it works on; None takes one of its own.
        fallback: let the CPU run nodes that the provider has no kernel for.

    Raises:
        MissingKernelsError: the provider has no kernel for some nodes, and the CPU may not help.
        BackendError: the provider does not start on this machine, or ONNX Runtime refuses the file.
    """
    try:
        session = _session(ort, provider, path, stream, fallback)
    except Exception as error:  # ONNX Runtime's exceptions share no base class of its own
        if _REFUSED not in str(error):
            raise BackendError(
                f"ONNX Runtime {ort.__version__} cannot load {_name(path)}: {first_line(error)}"
            ) from error
        # It says the same of a provider that did not start.
        _check_started(ort, provider)
        nodes = _nodes_without_kernel(ort, provider, path)
        raise MissingKernelsError(
            f"{provider.name} of ONNX Runtime {ort.__version__} cannot run {_name(path)}: no kernel for {nodes or 'some nodes'}",
            nodes,
        ) from error
    if provider.name not in session.get_providers():
        raise BackendError(*_not_started(ort, provider))
    return session


def _session(
    ort: Any, provider: Provider, path: Path | bytes, stream: int | None, fallback: bool, record: bool = False
) -> Any:
    ort.set_default_logger_severity(_FATAL)  # what goes wrong comes as an exception, and is told once
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    others = [HOST.name] if fallback and provider != HOST else []
    if not fallback and provider != HOST:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if record:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    told: dict[str, str] = {}
    if provider == CUDA:
        told = {"device_id": "0", "use_tf32": "0"}  # FP32 in a recipe means FP32, not its first ten bits
        if stream is not None:
            told["user_compute_stream"] = str(stream)
    # enable_fallback=0: the Python class would answer a failure with a session on the CPU.
    return ort.InferenceSession(
        path if isinstance(path, bytes) else str(path),
        options,
        providers=[(provider.name, told), *others],
        enable_fallback=0,
    )


def _check_started(ort: Any, provider: Provider) -> None:
    try:
        _session(ort, provider, IDENTITY, None, fallback=False)
    except Exception as error:  # as above
        raise BackendError(*_not_started(ort, provider)) from error


def _not_started(ort: Any, provider: Provider) -> tuple[str, str]:
    why = f": {problem}" if provider == CUDA and (problem := _library_problem(ort)) else ""
    return (
        f"ONNX Runtime {ort.__version__} could not start {provider.name} on this machine{why}",
        "pip install 'onnxruntime-gpu[cuda,cudnn]' brings CUDA's libraries; they must be of the CUDA that it was built for",
    )


def _library_problem(ort: Any) -> str:
    """Why the provider's library does not load, in the loader's words; "" if it does."""
    folder = Path(ort.__file__).parent / "capi"
    try:
        for name in ("shared", "cuda"):
            ctypes.CDLL(str(folder / f"libonnxruntime_providers_{name}.so"), ctypes.RTLD_GLOBAL)
    except OSError as error:
        return first_line(error)
    return ""


def _nodes_without_kernel(ort: Any, provider: Provider, path: Path | bytes) -> str:
    """Which nodes the CPU would run, in words; "" where this version does not say."""
    try:
        session = _session(ort, provider, path, None, fallback=True, record=True)
        parts = [part for part in session.get_provider_graph_assignment_info() if part.ep_name == HOST.name]
        nodes = [f"{node.op_type} ({node.name or 'unnamed'})" for part in parts for node in part.get_nodes()]
    except Exception:  # versions before 1.24 do not record it, and the refusal itself is known
        return ""
    more = f" and {len(nodes) - _NODES_NAMED} more" if len(nodes) > _NODES_NAMED else ""
    return ", ".join(nodes[:_NODES_NAMED]) + more


def _name(path: Path | bytes) -> str:
    return "the graph" if isinstance(path, bytes) else str(path)
