"""What a figure depends on beside the code: the processor, the GPU, its clocks, temperature and power. No names of machines or users."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterable
from importlib import metadata

from pydantic import BaseModel, ConfigDict

from videoscene_rt.bench.which_gpu import which_gpu
from videoscene_rt.machine import gpus, machine

_TIMEOUT_S = 20
_PACKAGES = (
    "videoscene-rt", "numpy", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx-cu13", "cuda-core", "torch", "triton",
    "diffusers", "onnx",
)  # fmt: skip
_STATE = {
    "sm_clock_mhz": "clocks.sm",
    "memory_clock_mhz": "clocks.mem",
    "temperature_c": "temperature.gpu",
    "power_w": "power.draw",
    "power_limit_w": "power.limit",
    "throttle_reasons": "clocks_throttle_reasons.active",
}


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Host(_Data):
    """The computer: operating system, architecture, processor and the cores this process may use."""

    system: str
    architecture: str
    processor: str | None
    cores_usable: int


class GpuFacts(_Data):
    """The GPU that CUDA shows this process first, in nvidia-smi's words; ``count`` is of the machine."""

    name: str
    driver: str | None
    memory_mib: int | None
    compute_capability: str | None
    count: int


class GpuState(_Data):
    """That GPU at one moment; None where nvidia-smi does not say. ``throttle_reasons`` is its bit mask, "0x…"."""

    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    throttle_reasons: str | None = None


def host() -> Host:
    """This computer, without its name, its kernel's build or its users."""
    found = machine()
    return Host(
        system=f"{platform.system()}, Python {platform.python_version()}",
        architecture=found.architecture,
        processor=found.processor,
        cores_usable=found.cores_usable,
    )


def gpu() -> GpuFacts | None:
    """The GPU that CUDA shows this process first; None where nvidia-smi lists none."""
    found = gpus().found
    if not found:
        return None
    first = found[min(which_gpu(), len(found) - 1)]
    return GpuFacts(
        name=first.name,
        driver=first.driver,
        memory_mib=first.memory_mib,
        compute_capability=first.compute_capability,
        count=len(found),
    )


def gpu_state() -> GpuState | None:
    """Clocks, temperature and power of that GPU now; None where nvidia-smi is not there or fails. Takes some milliseconds."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = (
        "nvidia-smi",
        f"--id={which_gpu()}",
        f"--query-gpu={','.join(_STATE.values())}",
        "--format=csv,noheader,nounits",
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_gpu_state(done.stdout) if done.returncode == 0 else None


def parse_gpu_state(text: str) -> GpuState | None:
    """nvidia-smi's answer as CSV without header and units; None if it is something else."""
    rows = text.strip().splitlines()
    fields = [field.strip() for field in rows[0].split(",")] if rows else []
    if len(fields) != len(_STATE):
        return None
    found = dict(zip(_STATE, fields, strict=True))
    reasons = found.pop("throttle_reasons")
    numbers = {name: _number(field) for name, field in found.items()}
    return GpuState(**numbers, throttle_reasons=reasons if reasons.startswith("0x") else None)


def versions(also: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """Versions of the packages that can have a part in a figure, installed ones only, and those named in ``also``."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {**found, **dict(also)}


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None
