"""CUDA source to kernels: NVRTC through cuda.core, for the device that is there."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.kernels.source import packaged

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice

NO_DEFINES: Mapping[str, int] = MappingProxyType({})
_LOG = "compilation log:"
_lock = threading.Lock()
_loaded: dict[tuple[object, ...], dict[str, int]] = {}


def load_kernels(
    device: CudaDevice, file: str, names: Sequence[str], defines: Mapping[str, int] = NO_DEFINES, variant: str = ""
) -> dict[str, int]:
    """Compile a packaged source for a device and load it there; the second time, give what is loaded.

    What is loaded stays as long as the process: a captured graph may launch it after its engine is gone.

    Args:
        device: where the kernels will run.
        file: the source's name in this package.
        names: of the kernels.
        defines: macros.
        variant: of the architecture: "a" allows instructions that no other one has.

    Returns:
        The CUfunction of each name.

    Raises:
        BackendError: NVRTC is missing or refuses the source, or the device refuses its code.
    """
    key = (device.index, file, tuple(sorted(defines.items())), tuple(names))
    with _lock:
        if key not in _loaded:
            code = compile_cubin(packaged(file), file, device.compute_capability, defines, variant)
            module = device.call("cuModuleLoadData", code)
            _loaded[key] = {name: int(device.call("cuModuleGetFunction", module, name.encode())) for name in names}
        return _loaded[key]


def compile_cubin(
    source: bytes, name: str, compute_capability: str, defines: Mapping[str, int] = NO_DEFINES, variant: str = ""
) -> bytes:
    """Machine code of a CUDA source, with IEEE arithmetic: no contraction, no flushing, rounded division. Needs no GPU.

    Args:
        source: CUDA C++ without includes.
        name: how NVRTC's messages call it.
        compute_capability: like "9.0".
        defines: macros.
        variant: of the architecture, "" or "a".

    Raises:
        BackendError: NVRTC is missing or refuses the source; says the first line of its log.
    """
    try:
        from cuda.core import Program, ProgramOptions
    except (ImportError, RuntimeError) as error:
        raise BackendError(f"cuda-core cannot be imported: {error}", "pip install 'videoscene-rt[cuda]'") from error
    try:
        options = ProgramOptions(
            name=name,
            arch=f"sm_{compute_capability.replace('.', '')}{variant}",
            std="c++17",
            fma=False,
            ftz=False,
            prec_div=True,
            prec_sqrt=True,
            define_macro=[(macro, str(value)) for macro, value in sorted(defines.items())] or None,
        )
        return bytes(Program(source.decode(), "c++", options).compile("cubin").code)
    except (
        Exception
    ) as error:  # cuda.core's exceptions share no public base class, and a missing NVRTC has one of its own
        raise BackendError(
            f"{name} cannot be compiled for compute capability {compute_capability}: {_first_of_log(str(error))}",
            "cuda-core needs NVRTC of a CUDA that knows this GPU: pip install 'videoscene-rt[cuda]'",
        ) from error


def _first_of_log(text: str) -> str:
    """The compiler's first line; where there is no log, the first line of all."""
    log = text.partition(_LOG)[2].strip("\0\n ") or text.strip()
    return log.splitlines()[0] if log else "it does not say why"
