"""The machine, asked without loading a driver: processor, memory, NVIDIA GPUs, Jetson. What is not there is None."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 20
_QUERY = ("name", "driver_version", "memory.total", "compute_cap")


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU, in nvidia-smi's words; None where it does not say."""

    name: str
    driver: str | None
    memory_mib: int | None
    compute_capability: str | None


@dataclass(frozen=True)
class Gpus:
    """The GPUs, and where there are none to be seen, why."""

    found: tuple[Gpu, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Jetson:
    """What a Jetson says of itself: L4T release (36.4.3 is JetPack 6.2), module, power mode."""

    l4t: str
    model: str | None
    power_mode: str | None


@dataclass(frozen=True)
class Machine:
    """The computer. ``cores_usable`` and ``memory_limit_bytes`` are what this process (a container, say) may take."""

    system: str
    architecture: str
    processor: str | None
    cores: int
    cores_usable: int
    memory_bytes: int | None
    memory_limit_bytes: int | None


def machine(root: Path = Path("/")) -> Machine:
    """Look at the processor and the memory. ``root`` stands for / in tests."""
    cores = os.cpu_count() or 1
    return Machine(
        system=platform.platform(),
        architecture=platform.machine(),
        processor=_match(root / "proc/cpuinfo", r"^model name\s*:\s*(.+)$"),
        cores=cores,
        cores_usable=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores,
        memory_bytes=_kib(_match(root / "proc/meminfo", r"^MemTotal:\s*(\d+) kB$")),
        memory_limit_bytes=_int(_match(root / "sys/fs/cgroup/memory.max", r"^(\d+)$")),
    )


def gpus() -> Gpus:
    """Ask nvidia-smi. Takes a second where a driver has to wake up."""
    if shutil.which("nvidia-smi") is None:
        return Gpus(note="nvidia-smi is not on the PATH")
    code, text = _output(("nvidia-smi", f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"))
    if code != 0:
        return Gpus(note=f"nvidia-smi failed: {_first_line(text)}")
    found = parse_gpus(text)
    return Gpus(found, "" if found else "nvidia-smi lists no GPU")


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """The GPUs in nvidia-smi's answer to a query for `_QUERY` as CSV without header and units."""
    rows = [[field.strip() for field in line.rsplit(",", len(_QUERY) - 1)] for line in text.splitlines()]
    return tuple(
        Gpu(name, _known(driver), _int(_known(memory)), _known(capability))
        for name, driver, memory, capability in (row for row in rows if len(row) == len(_QUERY))
    )


def jetson(root: Path = Path("/")) -> Jetson | None:
    """Read /etc/nv_tegra_release and the device tree, and ask nvpmodel; None on anything but a Jetson."""
    release = root / "etc/nv_tegra_release"
    major, revision = (_match(release, pattern) for pattern in (r"# R(\d+) \(release\)", r"REVISION: ([\d.]+)"))
    if major is None:
        return None
    model = _match(root / "proc/device-tree/model", r"([^\x00]+)")
    return Jetson(f"{major}.{revision}" if revision else major, model, _power_mode())


def _power_mode() -> str | None:
    if shutil.which("nvpmodel") is None:
        return None
    found = re.search(r"Power Mode: *(\S+)", _output(("nvpmodel", "-q"))[1])
    return found[1] if found else None


def _output(command: tuple[str, ...]) -> tuple[int, str]:
    """Exit status and all the output of a command; status 1 where it cannot be run or takes too long."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_TIMEOUT_S, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {_TIMEOUT_S} s"
    except OSError as error:
        return 1, error.strerror or str(error)
    return done.returncode, done.stdout


def _match(path: Path, pattern: str) -> str | None:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else None


def _known(field: str) -> str | None:
    return None if field.strip("[] ").lower() in ("", "n/a", "not supported", "unknown error") else field


def _int(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _kib(text: str | None) -> int | None:
    return int(text) * 1024 if text is not None else None


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "it said nothing")
