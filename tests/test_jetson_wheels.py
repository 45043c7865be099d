"""The runtime and what a Jetson needs beside it can be had as wheels for aarch64: nothing is compiled on the device.

Asks the package index that pip is set up with, for metadata alone. pip evaluates markers for the machine it runs on, so the closure of
the requirements is taken here, with the markers evaluated for the device.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CUDA_12 = "cuda-core[cu12]>=1.0"


@dataclass(frozen=True)
class Device:
    """What a JetPack brings that wheels are chosen by: its Python, and the minor version of its glibc 2."""

    name: str
    python: str
    glibc: int
    requirements: tuple[str, ...]

    @property
    def marker_environment(self) -> dict[str, str]:
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": "aarch64",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def options(self) -> list[str]:
        platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(self.glibc, 16, -1)]
        platforms += ["manylinux2014_aarch64", "linux_aarch64"]
        return ["--python-version", self.python, *(word for name in platforms for word in ("--platform", name))]


def extra(*names: str) -> tuple[str, ...]:
    return tuple(line for name in names for line in PROJECT["optional-dependencies"][name])


NEEDED = (*PROJECT["dependencies"], *extra("cpu", "build", "nvtx"))
DEVICES = (
    Device("JetPack 6", "3.10", 35, (*NEEDED, CUDA_12)),  # Ubuntu 22.04
    Device("JetPack 7", "3.12", 39, (*NEEDED, *extra("cuda"))),  # Ubuntu 24.04
)


def ask(lines: list[str], options: list[str], target: Path) -> list[dict]:
    """What pip would install for these requirements alone, without their own: entries of its report."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--target", str(target), "--report", "-"]
    done = subprocess.run([*command, *options, *lines], capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise LookupError(done.stderr.strip())
    return list(json.loads(done.stdout)["install"])


def closure(device: Device, target: Path) -> dict[str, tuple[str, str]]:
    """Every distribution that the device's requirements come to: name → version and the wheel's tags."""
    wanted: dict[str, set[str]] = {}
    extras: dict[str, set[str]] = {}
    found: dict[str, tuple[str, str]] = {}
    fresh = [Requirement(line) for line in device.requirements]
    while fresh:
        changed = set()
        for requirement in fresh:
            name = canonicalize_name(requirement.name)
            before = (len(wanted.get(name, ())), len(extras.get(name, ())))
            wanted.setdefault(name, set()).update(map(str, requirement.specifier))
            extras.setdefault(name, set()).update(requirement.extras)
            if name not in found or before != (len(wanted[name]), len(extras[name])):
                changed.add(name)
        if not changed:
            break
        lines = [f"{name}{','.join(sorted(wanted[name]))}" for name in sorted(changed)]
        fresh = []
        for entry in ask(lines, device.options, target):
            metadata = entry["metadata"]
            name = canonicalize_name(metadata["name"])
            found[name] = (metadata["version"], entry["download_info"]["url"].rpartition("/")[2])
            for line in metadata.get("requires_dist", ()):
                requirement = Requirement(line)
                if applies(requirement, device, extras[name]):
                    fresh.append(requirement)
    return found


def applies(requirement: Requirement, device: Device, extras: set[str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({**device.marker_environment, "extra": name}) for name in ("", *extras))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheels")
    try:
        ask(["filelock"], [], target)
    except LookupError as error:
        pytest.skip(f"pip reaches no package index here: {str(error).splitlines()[-1:]}")
    return target


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_everything_is_a_wheel_for_the_device(device: Device, index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = closure(device, index)
    with capsys.disabled():
        print(f"\n{device.name}, Python {device.python}, aarch64:")
        for name, (version, file) in sorted(found.items()):
            print(f"  {name} {version} ({file.removesuffix('.whl').rpartition('-')[2]})")
    names = {canonicalize_name(Requirement(line).name) for line in device.requirements}
    assert names <= set(found)
    for name, (_, file) in found.items():
        assert file.endswith(("aarch64.whl", "-any.whl")), (name, file)
    assert "tensorrt" not in found, "it is the system's"


def test_a_device_without_wheels_is_found_out(index: Path) -> None:
    """JetPack 5 has Python 3.8, for which NumPy 1.26 was never made: the check does not pass by itself."""
    with pytest.raises(LookupError, match="numpy"):
        closure(Device("JetPack 5", "3.8", 31, NEEDED), index)
