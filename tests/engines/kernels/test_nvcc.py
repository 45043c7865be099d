"""What nvcc makes of the kernels, where it is installed; no GPU is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.engines.kernels.cpu_library import KERNELS


@pytest.fixture(scope="module")
def nvcc() -> str:
    found = shutil.which("nvcc")
    if found is None:
        pytest.skip("no nvcc to compile the kernels with")
    return found


@pytest.mark.parametrize("source", ["splat.cu", "watch.cu"])
def test_nothing_is_contracted_whatever_the_flags(nvcc: str, source: str, tmp_path: Path) -> None:
    """-fmad=true is nvcc's default: the arithmetic is written in operations that it may not join."""
    out = tmp_path / "kernels.ptx"
    command = (nvcc, "-ptx", "-fmad=true", "-std=c++17", "-DVSRT_RADIUS=1", str(KERNELS / source), "-o", str(out))
    subprocess.run(command, check=True, capture_output=True, text=True)
    ptx = out.read_text()
    assert not re.search(r"\bfma\.|\bmad\.[a-z.]*f32", ptx)
    if source == "splat.cu":
        assert "div.rn.f32" in ptx
        assert "div.approx" not in ptx
        assert ".ftz" not in ptx


@pytest.mark.parametrize(("arch", "radius"), [("sm_90", 0), ("sm_90", 1), ("sm_90", 2), ("sm_90", 8), ("sm_87", 1)])
def test_nothing_spills(nvcc: str, arch: str, radius: int, tmp_path: Path) -> None:
    """On an H100's and a Jetson Orin's architecture."""
    command = (nvcc, "-cubin", f"-arch={arch}", f"-DVSRT_RADIUS={radius}", "-Xptxas=-v", "-std=c++17")
    source = (str(KERNELS / "splat.cu"), "-o", str(tmp_path / "cubin"))
    done = subprocess.run((*command, *source), check=True, capture_output=True, text=True)
    assert re.findall(r"(\d+) bytes spill stores", done.stderr) == ["0"] * 3
