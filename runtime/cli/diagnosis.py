"""From what is here to what can run: one verdict a backend, and one on the export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from videoscene_rt.engines.backends import BACKENDS
from videoscene_rt.engines.onnxruntime_cuda_session import TWO_PACKAGES
from videoscene_rt.engines.onnxruntime_probe import IDENTITY
from videoscene_rt.environment import PACKAGES, Environment, install_line, older, requirements

CUDA_BINDING = "cuda-core"
EXPORT_PYTHON = "3.11"
# TensorRT-RTX 1.7 ran on 7.5, 8.0, 8.6, 8.9 and 12.x, and said of 9.0 that it does not.
RTX_REFUSES = ("9.0",)


@dataclass(frozen=True)
class Verdict:
    """What can be said of one backend, or of the export.

    ``usable`` is None where everything seems to be there but nothing was run to know; ``missing`` says what is in the
    way, and ``remedy`` the line that helps, if there is one.
    """

    name: str
    usable: bool | None
    version: str | None
    device: str | None
    missing: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def word(self) -> str:
        """For a table: "yes", "no" or "not tried"."""
        return {True: "yes", False: "no", None: "not tried"}[self.usable]


def run_identity(provider: str) -> str:
    """Run a one-node graph through an ONNX Runtime provider; "" if it did, else what went wrong."""
    try:
        import numpy as np
        import onnxruntime

        if provider not in onnxruntime.get_available_providers():
            return f"{provider} is not in this build"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(IDENTITY, options, providers=[provider])
        if provider not in session.get_providers():
            return f"{provider} does not load here"
        value = np.array([459], np.float32)
        equal = bool((session.run(None, {"x": value})[0] == value).all())
    except Exception as error:  # a broken install fails in any way it likes
        return f"{provider} fails: {' '.join(str(error).split())[:200]}"
    return "" if equal else f"{provider} computes wrongly"


def backends(
    environment: Environment, adapters: tuple[str, ...] = BACKENDS, run: Callable[[str], str] = run_identity
) -> tuple[Verdict, ...]:
    """A verdict on each backend.

    Args:
        environment: what is here.
        adapters: the backends that this version of videoscene-rt can open.
        run: tries an ONNX Runtime provider; see `run_identity`.
    """
    gpu = environment.gpus.found[0] if environment.gpus.found else None
    device = f"{gpu.name} (compute capability {gpu.compute_capability or 'unknown'})" if gpu else None
    return (
        _onnxruntime_cpu(environment, adapters, run),
        _on_gpu(environment, "onnxruntime-cuda", "onnxruntime", "ort-cuda", device, adapters),
        _on_gpu(environment, "tensorrt", "tensorrt", "tensorrt", device, adapters),
        _on_gpu(environment, "tensorrt-rtx", "tensorrt_rtx", "tensorrt-rtx", device, adapters),
    )


def export(environment: Environment) -> Verdict:
    """Whether `vsrt export` has the Python and the packages it needs."""
    wanted = requirements("export")
    if wanted is None:
        return Verdict(
            "export", None, None, None, ("videoscene-rt is not installed as a package: its needs are unknown",)
        )
    missing = []
    for name, lowest in wanted.items():
        found = _distribution(environment, name)
        if found is None:
            missing.append(name)
        elif lowest and found != "unknown" and older(found, lowest):
            missing.append(f"{name} {lowest} or later (this is {found})")
    # Every graph is proved on an ONNX Runtime: any of them, so the extra [export] names none.
    proves = _provider_of(environment, "onnxruntime") is not None
    extras = (["export"] if missing else []) + ([] if proves else ["cpu"])
    if not proves:
        missing.append("an ONNX Runtime to prove the graphs on")
    if older(environment.python, EXPORT_PYTHON):
        missing.insert(0, f"Python {EXPORT_PYTHON} (this is {environment.python})")
        remedy = f"python{EXPORT_PYTHON} -m {install_line('cpu,export')}"
    else:
        remedy = install_line(",".join(sorted(extras))) if extras else ""
    version = environment.packages.get("torch")
    return Verdict("export", not missing, f"torch {version}" if version else None, "cpu", tuple(missing), remedy)


def _onnxruntime_cpu(environment: Environment, adapters: tuple[str, ...], run: Callable[[str], str]) -> Verdict:
    name, provider = "onnxruntime", "CPUExecutionProvider"
    device = environment.machine.processor or environment.machine.architecture
    version = _provider_of(environment, "onnxruntime")
    if "onnxruntime" not in adapters:
        return Verdict(name, False, version, device, (_no_adapter(environment),))
    problem = environment.providers.problem or run(provider)
    return Verdict(
        name, not problem, version, device, (problem,) if problem else (), install_line("cpu") if problem else ""
    )


def _on_gpu(
    environment: Environment, name: str, module: str, extra: str, device: str | None, adapters: tuple[str, ...]
) -> Verdict:
    version = _provider_of(environment, module)
    missing = []
    remedy = ""
    if name not in adapters:
        missing.append(_no_adapter(environment))
    if version is None:
        missing.append(f"the package {PACKAGES[module][0]}")
        remedy = install_line(extra if CUDA_BINDING in environment.packages else f"cuda,{extra}")
    elif module == "onnxruntime" and "CUDAExecutionProvider" not in environment.providers.names:
        missing.append(f"the CUDA provider: {version} was built without it")
        remedy = TWO_PACKAGES
    if CUDA_BINDING not in environment.packages:
        missing.append(f"the package {CUDA_BINDING}")
        remedy = remedy or install_line("cuda")
    if device is None:
        missing.append(f"an NVIDIA GPU ({environment.gpus.note})")
    elif module == "tensorrt_rtx" and environment.gpus.found[0].compute_capability in RTX_REFUSES:
        missing.append(f"a GPU that it runs on: not compute capability {environment.gpus.found[0].compute_capability}")
    # Installing something does not help while this version has no adapter for it.
    return Verdict(
        name, False if missing else None, version, device, tuple(missing), remedy if name in adapters else ""
    )


def _no_adapter(environment: Environment) -> str:
    return f"support for it: videoscene-rt {environment.version} has none yet"


def _provider_of(environment: Environment, module: str) -> str | None:
    found = next((name for name in PACKAGES[module] if name in environment.packages), None)
    return None if found is None else f"{found} {environment.packages[found]}"


def _distribution(environment: Environment, name: str) -> str | None:
    """The version of a distribution, or of another one that provides the same module."""
    for alternatives in PACKAGES.values():
        if name in alternatives:
            return next((environment.packages[other] for other in alternatives if other in environment.packages), None)
    return environment.packages.get(name)
