"""What is installed here and what this machine is: for `vsrt doctor`, for reports, and for naming what is missing."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import re
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.machine import Gpus, Jetson, Machine, gpus, jetson, machine

DISTRIBUTION = "videoscene-rt"

# By the name it is imported under: the distributions that provide it. The first that is installed gives the version.
PACKAGES: dict[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "pydantic": ("pydantic",),
    "PIL": ("pillow",),
    "av": ("av",),
    "typer": ("typer",),
    "rich": ("rich",),
    "filelock": ("filelock",),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime", "onnxruntime-qnn", "onnxruntime-openvino", "onnxruntime-rocm"),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu11"),
    "tensorrt_rtx": ("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
    "cuda.core": ("cuda-core",),
    "cuda.bindings": ("cuda-bindings", "cuda-python"),
    "torch": ("torch",),
    "diffusers": ("diffusers",),
    "onnx": ("onnx",),
    "onnxscript": ("onnxscript",),
    "onnx_ir": ("onnx-ir",),
    "ml_dtypes": ("ml_dtypes",),
    "polygraphy": ("polygraphy",),
    "safetensors": ("safetensors",),
}


@dataclass(frozen=True)
class Providers:
    """ONNX Runtime's execution providers as compiled in, best first; ``problem`` says why there are none to name."""

    names: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Environment:
    """All of it. ``packages``: version by distribution name, installed ones only; "unknown" without metadata."""

    version: str
    python: str
    machine: Machine
    gpus: Gpus
    jetson: Jetson | None
    packages: dict[str, str]
    providers: Providers
    warnings: tuple[str, ...]


def gather() -> Environment:
    """Look at everything. Imports ONNX Runtime where it is there and nothing else that is heavy; runs nvidia-smi."""
    return Environment(
        version=own_version(),
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        machine=machine(),
        gpus=gpus(),
        jetson=jetson(),
        packages=packages(),
        providers=providers(),
        warnings=warnings(),
    )


def own_version() -> str:
    """The version of videoscene-rt; "unknown" where it runs without being installed."""
    return version(DISTRIBUTION) or "unknown"


def packages() -> dict[str, str]:
    """Versions of the packages of `PACKAGES` that are installed, by distribution name. Nothing is imported."""
    found = (installed(module) for module in PACKAGES)
    return dict(pair for pair in found if pair is not None)


def installed(module: str) -> tuple[str, str] | None:
    """Distribution name and version of what provides a module of `PACKAGES`; None if it is not installed."""
    for name in PACKAGES[module]:
        if (found := version(name)) is not None:
            return name, found
    # Without metadata: JetPack's system packages, or a module on PYTHONPATH.
    return (PACKAGES[module][0], "unknown") if _is_there(module) else None


def providers() -> Providers:
    """Ask ONNX Runtime, which is imported for it."""
    if not _is_there("onnxruntime"):
        return Providers(problem="ONNX Runtime is not installed")
    try:
        names = importlib.import_module("onnxruntime").get_available_providers()
    except Exception as error:  # a broken or half-overwritten install fails in any way it likes
        return Providers(problem=f"ONNX Runtime is installed but cannot be used: {type(error).__name__}: {error}")
    return Providers(tuple(names))


def warnings() -> tuple[str, ...]:
    """What is installed in a way that will hurt."""
    both = [name for name in PACKAGES["onnxruntime"] if version(name) is not None]
    if len(both) < 2:
        return ()
    return (
        f"{' and '.join(both)} are installed together and overwrite each other's files: "
        f"pip uninstall -y {' '.join(both)}, then install one",
    )


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package.

    Args:
        module: its name as imported: "torch".
        extra: the extra of videoscene-rt that brings it: "export".

    Raises:
        BackendError: it is not installed, or fails to import; names the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and error.name in (top, module):
            raise BackendError(f"the package {module} is not installed", install_line(extra)) from error
        raise BackendError(
            f"the package {module} is installed but fails to import: {error}", install_line(extra)
        ) from error


def install_line(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def requirements(extra: str) -> dict[str, str] | None:
    """Distribution name → lowest version ("" if any) of what an extra brings; None if videoscene-rt is not installed."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return None
    wanted = [line for line in lines if re.search(rf"""extra == ['"]{re.escape(extra)}['"]""", line)]
    found = (re.match(r"([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*(?:>=\s*([\w.]+))?", line) for line in wanted)
    return {match[1]: match[2] or "" for match in found if match}


def older(found: str, lowest: str) -> bool:
    """Whether a version is below another one, by their leading numbers: 2.9.1+cpu is below 2.11."""
    return _numbers(found) < _numbers(lowest)


def _numbers(text: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", text)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def version(distribution: str) -> str | None:
    """The installed version of a distribution; None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _is_there(module: str) -> bool:
    """Whether a module can be found. Finding a.b imports a, so only namespace parents belong in `PACKAGES`."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
